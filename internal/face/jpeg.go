package face

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/agequote/agequote/internal/reason"
)

// JPEG markers (ITU-T T.81, table B.1).
const (
	markerSOF0  = 0xc0 // baseline
	markerSOF2  = 0xc2 // progressive
	markerDHT   = 0xc4
	markerJPG   = 0xc8
	markerDAC   = 0xcc
	markerRST0  = 0xd0
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerAPP14 = 0xee
)

// readJPEGHeader walks the file's markers without decoding: it finds the frame
// and counts the scans. The decoder passes over the whole picture once a scan,
// so that a small file with thousands of scans could keep it busy for minutes.
func readJPEGHeader(b []byte) (header, error) {
	h := header{format: "jpeg"}
	var samples, progressive int // samples: of all components in a 1x1 pixel, times 8
	var components []byte        // their ids
	adobe := -1                  // transform of an Adobe segment
	for i := 2; i+4 <= len(b); {
		if b[i] != 0xff {
			i++ // entropy-coded data, or junk that the decoder skips too
			if j := bytes.IndexByte(b[i:], 0xff); j >= 0 {
				i += j
				continue
			}
			break
		}
		m := b[i+1]
		switch {
		case m == markerEOI:
			i = len(b)
			continue
		case m == 0xff: // fill byte: the marker follows
			i++
			continue
		case m <= 1, m >= markerRST0 && m < markerEOI: // stuffed data, or a marker without length
			i += 2
			continue
		}
		length := int(binary.BigEndian.Uint16(b[i+2:]))
		if length < 2 || i+2+length > len(b) {
			break
		}
		segment := b[i+4 : i+2+length]
		switch {
		case m == markerSOS:
			h.scans++
		case m == markerAPP14 && len(segment) >= 12 && string(segment[:5]) == "Adobe":
			adobe = int(segment[11])
		case m >= markerSOF0 && m <= 0xcf && m != markerDHT && m != markerJPG && m != markerDAC:
			if m > markerSOF2 {
				return header{}, reason.New(reason.Unsupported, errors.New("jpeg of a rare coding"))
			}
			if len(segment) < 6 || h.width != 0 {
				return header{}, reason.New(reason.NotImage, errors.New("jpeg frame header"))
			}
			h.height = int(binary.BigEndian.Uint16(segment[1:]))
			h.width = int(binary.BigEndian.Uint16(segment[3:]))
			if m == markerSOF2 {
				progressive = 1
			}
			samples = samplesPerPixel8(segment)
			components = componentIDs(segment)
		}
		i += 2 + length
	}
	if h.width == 0 || h.scans == 0 {
		return header{}, reason.New(reason.NotImage, errors.New("jpeg without frame or scan"))
	}
	// A byte a sample, and in progressive files four more for its coefficient.
	h.decodedBytes = h.width * h.height / 8 * samples * (1 + 4*progressive)
	// What is not YCbCr is made of the planes in the end; black is slow besides.
	switch {
	case len(components) == 4:
		h.decodedBytes += 8 * h.width * h.height
	case len(components) == 3 && (adobe == 0 || string(components) == "RGB"):
		h.decodedBytes += 4 * h.width * h.height
	}
	return h, nil
}

// componentIDs returns the ids of a frame's components, as far as they are there.
func componentIDs(sof []byte) []byte {
	var ids []byte
	for c := 6; c < len(sof) && len(ids) < int(sof[5]); c += 3 {
		ids = append(ids, sof[c])
	}
	return ids
}

// samplesPerPixel8 returns eight times the samples that a frame holds per
// pixel: 8 for grey, 12 for 4:2:0, 24 for 4:4:4 colour.
func samplesPerPixel8(sof []byte) int {
	n := int(sof[5])
	if len(sof) < 6+3*n {
		return 8 * 4
	}
	var total, largest int
	for c := range n {
		hv := sof[6+3*c+1]
		s := int(hv>>4) * int(hv&15)
		total += s
		largest = max(largest, s)
	}
	if largest == 0 {
		return 8 * 4
	}
	return (8*total + largest - 1) / largest
}
