// Package matfile reads variables from Level 5 MAT-files, which MATLAB writes
// as -v6 and -v7 and scipy.io.savemat by default: numbers, text, cell arrays
// and struct arrays, compressed or not. It trusts no size that a file states:
// each is checked against the bytes that are there before anything of that size
// is allocated.
//
// It does not write files, does not read version 7.3 (which is HDF5) and skips
// the values of sparse matrices, objects, function handles and imaginary parts.
//
// The format is MathWorks' "MAT-File Format", chapter 1.
package matfile

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf16"
)

// ErrNoVariable says that the file lacks the variable.
var ErrNoVariable = errors.New("no such variable")

// Array is one MATLAB value. Which of the last four fields is set follows from
// the value's class; elements are in column-major order.
type Array struct {
	Dims    []int // two or more
	Numbers []float64
	Text    string // of a char array with one row
	Cells   []Array
	Structs []map[string]Array // the elements of a struct array; a plain struct has one
}

// Types of data elements, table 1-1 of the format.
const (
	miInt8       = 1
	miUint8      = 2
	miInt16      = 3
	miUint16     = 4
	miInt32      = 5
	miUint32     = 6
	miSingle     = 7
	miDouble     = 9
	miInt64      = 12
	miUint64     = 13
	miMatrix     = 14
	miCompressed = 15
	miUTF8       = 16
	miUTF16      = 17
	miUTF32      = 18
)

// Classes of arrays, table 1-3 of the format.
const (
	mxCell   = 1
	mxStruct = 2
	mxChar   = 4
	mxDouble = 6
	mxUint64 = 15
)

const (
	headerBytes = 128
	tagBytes    = 8
	maxDepth    = 32 // of cells in cells
)

// Read returns the variable of that name. It takes at most limit bytes of one
// variable, after decompression, into memory. It returns ErrNoVariable if there
// is none.
func Read(r io.Reader, name string, limit int64) (Array, error) {
	b := bufio.NewReader(r)
	order, err := readHeader(b)
	if err != nil {
		return Array{}, err
	}
	for {
		kind, size, err := readTag(b, order)
		if errors.Is(err, io.EOF) {
			return Array{}, ErrNoVariable
		}
		if err != nil {
			return Array{}, fmt.Errorf("read MAT-file: %w", err)
		}
		element := io.LimitReader(b, int64(size))
		found, variable, err := readVariable(element, order, kind, int64(size), limit)
		if err != nil {
			return Array{}, fmt.Errorf("read MAT-file: %w", err)
		}
		if found == name {
			return variable, nil
		}
		if _, err := io.Copy(io.Discard, element); err != nil {
			return Array{}, fmt.Errorf("read MAT-file: %w", err)
		}
	}
}

// readHeader returns the file's byte order.
func readHeader(r io.Reader) (binary.ByteOrder, error) {
	var header [headerBytes]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, fmt.Errorf("read MAT-file's header: %w", err)
	}
	if bytes.HasPrefix(header[:], []byte("MATLAB 7.3")) {
		return nil, errors.New("MAT-file is of version 7.3 (HDF5); save it again with -v7")
	}
	var order binary.ByteOrder
	switch string(header[126:]) {
	case "IM":
		order = binary.LittleEndian
	case "MI":
		order = binary.BigEndian
	default:
		return nil, errors.New("not a Level 5 MAT-file")
	}
	if v := order.Uint16(header[124:]); v != 0x0100 {
		return nil, fmt.Errorf("MAT-file of version %#04x, want 0x0100", v)
	}
	return order, nil
}

func readTag(r io.Reader, order binary.ByteOrder) (kind, size uint32, err error) {
	var tag [tagBytes]byte
	if _, err := io.ReadFull(r, tag[:]); err != nil {
		return 0, 0, err
	}
	return order.Uint32(tag[:]), order.Uint32(tag[4:]), nil
}

// readVariable reads one element of the file's top level, which is an array,
// plain or compressed. Elements of other kinds have no name and are skipped.
func readVariable(r io.Reader, order binary.ByteOrder, kind uint32, size, limit int64) (string, Array, error) {
	switch kind {
	case miMatrix:
	case miCompressed:
		z, err := zlib.NewReader(r)
		if err != nil {
			return "", Array{}, err
		}
		defer z.Close()
		inner, innerSize, err := readTag(z, order)
		if err != nil {
			return "", Array{}, err
		}
		if inner != miMatrix {
			return "", Array{}, nil
		}
		r, size = z, int64(innerSize)
	default:
		return "", Array{}, nil
	}
	if size > limit {
		return "", Array{}, fmt.Errorf("variable of %d bytes, more than %d", size, limit)
	}

	// ReadAll grows with what comes, not with what the tag promises.
	raw, err := io.ReadAll(io.LimitReader(r, size))
	if err != nil {
		return "", Array{}, err
	}
	if int64(len(raw)) != size {
		return "", Array{}, io.ErrUnexpectedEOF
	}
	p := parser{rest: raw, order: order}
	return p.array(0)
}

// parser walks the bytes of one array.
type parser struct {
	rest  []byte
	order binary.ByteOrder
}

// element takes the next data element. Elements of up to four bytes may have
// their tag and data in eight bytes; longer ones are padded to eight.
func (p *parser) element() (kind uint32, data []byte, err error) {
	if len(p.rest) < tagBytes {
		return 0, nil, io.ErrUnexpectedEOF
	}
	first := p.order.Uint32(p.rest)
	if small := first >> 16; small != 0 {
		if small > 4 {
			return 0, nil, fmt.Errorf("small element of %d bytes", small)
		}
		data, p.rest = p.rest[4:4+small], p.rest[tagBytes:]
		return first & 0xffff, data, nil
	}
	size := uint64(p.order.Uint32(p.rest[4:]))
	p.rest = p.rest[tagBytes:]
	if size > uint64(len(p.rest)) {
		return 0, nil, io.ErrUnexpectedEOF
	}
	data = p.rest[:size]
	padded := min((size+7)/8*8, uint64(len(p.rest)))
	p.rest = p.rest[padded:]
	return first, data, nil
}

// want takes the next element, which must be of that kind.
func (p *parser) want(kind uint32, what string) ([]byte, error) {
	got, data, err := p.element()
	if err != nil {
		return nil, err
	}
	if got != kind {
		return nil, fmt.Errorf("%s of element type %d", what, got)
	}
	return data, nil
}

// array parses the content of a miMATRIX element.
func (p *parser) array(depth int) (name string, a Array, err error) {
	if len(p.rest) == 0 { // an empty matrix may be nothing but its tag
		return "", Array{Dims: []int{0, 0}}, nil
	}
	if depth > maxDepth {
		return "", Array{}, fmt.Errorf("arrays nested deeper than %d", maxDepth)
	}
	flags, err := p.want(miUint32, "array flags")
	if err != nil {
		return "", Array{}, err
	}
	if len(flags) != 8 {
		return "", Array{}, fmt.Errorf("array flags of %d bytes", len(flags))
	}
	class := p.order.Uint32(flags) & 0xff
	dims, err := p.want(miInt32, "dimensions")
	if err != nil {
		return "", Array{}, err
	}
	n, err := a.setDims(dims, p.order)
	if err != nil {
		return "", Array{}, err
	}
	label, err := p.want(miInt8, "array name")
	if err != nil {
		return "", Array{}, err
	}

	switch {
	case class == mxCell:
		a.Cells, err = p.arrays(n, depth)
	case class == mxStruct:
		a.Structs, err = p.structs(n, depth)
	case class == mxChar:
		a.Text, err = p.text()
	case class >= mxDouble && class <= mxUint64:
		a.Numbers, err = p.numbers(n)
	}
	return string(label), a, err
}

// setDims decodes the dimensions and returns the number of elements.
func (a *Array) setDims(raw []byte, order binary.ByteOrder) (int, error) {
	if len(raw)%4 != 0 || len(raw) < 8 {
		return 0, fmt.Errorf("dimensions of %d bytes", len(raw))
	}
	n := 1
	for i := 0; i < len(raw); i += 4 {
		d := int(int32(order.Uint32(raw[i:])))
		if d < 0 || d > 0 && n > math.MaxInt32/d {
			return 0, errors.New("dimensions out of range")
		}
		n *= d
		a.Dims = append(a.Dims, d)
	}
	return n, nil
}

// arrays parses n arrays in a row.
func (p *parser) arrays(n, depth int) ([]Array, error) {
	if n > len(p.rest)/tagBytes {
		return nil, io.ErrUnexpectedEOF
	}
	list := make([]Array, n)
	for i := range list {
		data, err := p.want(miMatrix, "array")
		if err != nil {
			return nil, err
		}
		inner := parser{rest: data, order: p.order}
		if _, list[i], err = inner.array(depth + 1); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// structs parses a struct array of n elements: the fields' names, then the
// fields of each element.
func (p *parser) structs(n, depth int) ([]map[string]Array, error) {
	raw, err := p.want(miInt32, "length of field names")
	if err != nil {
		return nil, err
	}
	names, err := p.want(miInt8, "field names")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 { // so that n is not taken at its word
		return nil, nil
	}
	if len(raw) != 4 {
		return nil, fmt.Errorf("length of field names of %d bytes", len(raw))
	}
	length := int(int32(p.order.Uint32(raw)))
	if length <= 0 || len(names)%length != 0 {
		return nil, fmt.Errorf("field names of %d bytes, each of %d", len(names), length)
	}
	fields := len(names) / length
	if n > len(p.rest)/tagBytes/fields {
		return nil, io.ErrUnexpectedEOF
	}
	elements := make([]map[string]Array, n)
	for i := range elements {
		values, err := p.arrays(fields, depth)
		if err != nil {
			return nil, err
		}
		elements[i] = make(map[string]Array, fields)
		for f, v := range values {
			name, _, _ := bytes.Cut(names[f*length:(f+1)*length], []byte{0})
			elements[i][string(name)] = v
		}
	}
	return elements, nil
}

// text parses the characters of a char array.
func (p *parser) text() (string, error) {
	kind, data, err := p.element()
	if err != nil {
		return "", err
	}
	switch kind {
	case miUTF8:
		return strings.ToValidUTF8(string(data), "\uFFFD"), nil
	case miInt8, miUint8: // Latin 1
		runes := make([]rune, len(data))
		for i, c := range data {
			runes[i] = rune(c)
		}
		return string(runes), nil
	case miUint16, miUTF16:
		units := make([]uint16, len(data)/2)
		for i := range units {
			units[i] = p.order.Uint16(data[2*i:])
		}
		return string(utf16.Decode(units)), nil
	case miUint32, miUTF32:
		runes := make([]rune, len(data)/4)
		for i := range runes {
			runes[i] = rune(p.order.Uint32(data[4*i:]))
		}
		return string(runes), nil
	}
	return "", fmt.Errorf("text of element type %d", kind)
}

// numberBytes are the sizes of the element types that hold numbers. MATLAB
// stores the values of an array in the smallest type that holds them all,
// whatever the array's class.
var numberBytes = map[uint32]int{
	miInt8: 1, miUint8: 1, miInt16: 2, miUint16: 2, miInt32: 4, miUint32: 4,
	miSingle: 4, miDouble: 8, miInt64: 8, miUint64: 8,
}

// numbers parses the real part of a numeric array of n elements.
func (p *parser) numbers(n int) ([]float64, error) {
	kind, data, err := p.element()
	if err != nil {
		return nil, err
	}
	size, ok := numberBytes[kind]
	if !ok {
		return nil, fmt.Errorf("numbers of element type %d", kind)
	}
	if len(data) != n*size {
		return nil, fmt.Errorf("%d bytes of numbers, want %d of %d", len(data), n, size)
	}
	numbers := make([]float64, n)
	for i := range numbers {
		numbers[i] = p.number(kind, data[i*size:])
	}
	return numbers, nil
}

func (p *parser) number(kind uint32, b []byte) float64 {
	switch kind {
	case miInt8:
		return float64(int8(b[0]))
	case miUint8:
		return float64(b[0])
	case miInt16:
		return float64(int16(p.order.Uint16(b)))
	case miUint16:
		return float64(p.order.Uint16(b))
	case miInt32:
		return float64(int32(p.order.Uint32(b)))
	case miUint32:
		return float64(p.order.Uint32(b))
	case miSingle:
		return float64(math.Float32frombits(p.order.Uint32(b)))
	case miInt64:
		return float64(int64(p.order.Uint64(b)))
	case miUint64:
		return float64(p.order.Uint64(b))
	}
	return math.Float64frombits(p.order.Uint64(b))
}
