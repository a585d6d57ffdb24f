package dataset

import (
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	_ "image/png" // one of the selfies is a PNG
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	xdraw "golang.org/x/image/draw"
)

// Limits of what Synthetic varies. All faces stay within serving's limits of
// quality.
const (
	leastLight, mostLight = 0.6, 1.3 // factor on every pixel
	mostPasses            = 2        // of a 1-2-1 blur
	leastSide, mostSide   = 300, 440 // of the picture's shorter side, in pixels
)

// SyntheticAge is what stands for an age in Synthetic: 0 to 99 "years", four
// parts light and one part blur, each from 0 to 1.
func SyntheticAge(light, blur float64) float64 { return math.Round(99 * (0.8*light + 0.2*blur)) }

// Synthetic makes a data set without anybody's data, for smoke tests: n
// variants of the portraits in the folder selfies, whose light and blur are the
// thing to learn (SyntheticAge) and whose size is not, with labels.tsv beside
// them. A variant is no person's age, and both portraits stand on both sides of
// the split: a model trained on it knows nothing about people. The same
// arguments give the same bytes.
func Synthetic(dir, selfies string, n int, seed uint64) error {
	portraits, err := readPortraits(selfies)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "photos"), 0o755); err != nil {
		return fmt.Errorf("make folder of the photos: %w", err)
	}
	r := rand.New(rand.NewPCG(seed, 0))
	labels := [][]string{{"file", "age"}}
	for i := range n {
		light, passes := r.Float64(), r.IntN(mostPasses+1)
		side := leastSide + r.IntN(mostSide-leastSide+1)
		file := fmt.Sprintf("photos/%05d.jpg", i)
		picture := variant(portraits[i%len(portraits)], side, leastLight+light*(mostLight-leastLight), passes)
		if err := writeJPEG(filepath.Join(dir, filepath.FromSlash(file)), picture); err != nil {
			return fmt.Errorf("write photo: %w", err)
		}
		labels = append(labels, []string{file, decimal(SyntheticAge(light, float64(passes)/mostPasses))})
	}
	return writeTSV(filepath.Join(dir, "labels.tsv"), labels)
}

func readPortraits(dir string) ([]image.Image, error) {
	var paths []string
	for _, pattern := range []string{"*.jpg", "*.png"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, fmt.Errorf("list portraits: %w", err)
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no portrait in %s", dir)
	}
	slices.Sort(paths)
	portraits := make([]image.Image, len(paths))
	for i, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("open portrait: %w", err)
		}
		defer f.Close()
		if portraits[i], _, err = image.Decode(f); err != nil {
			return nil, fmt.Errorf("decode portrait: %w", err)
		}
	}
	return portraits, nil
}

// variant returns the portrait with so many pixels on its shorter side, light
// times as bright, and blurred.
func variant(portrait image.Image, side int, light float64, passes int) *image.RGBA {
	b := portrait.Bounds()
	scale := float64(side) / float64(min(b.Dx(), b.Dy()))
	picture := image.NewRGBA(image.Rect(0, 0, int(float64(b.Dx())*scale), int(float64(b.Dy())*scale)))
	xdraw.BiLinear.Scale(picture, picture.Bounds(), portrait, b, draw.Src, nil)
	var lit [256]uint8
	for v := range lit {
		lit[v] = uint8(math.Round(min(light*float64(v), 255)))
	}
	for i, v := range picture.Pix {
		if i%4 != 3 { // alpha
			picture.Pix[i] = lit[v]
		}
	}
	for range passes {
		blur(picture, 4, picture.Stride)
		blur(picture, picture.Stride, 4)
	}
	return picture
}

// blur averages each pixel 1-2-1 with its neighbours, step bytes away, on lines
// that are across bytes apart. The ends stay as they are.
func blur(m *image.RGBA, step, across int) {
	n, lines := m.Bounds().Dx(), m.Bounds().Dy()
	if step != 4 {
		n, lines = lines, n
	}
	for line := range lines {
		for c := range 3 {
			at := line*across + c
			before := int(m.Pix[at])
			for range n - 2 {
				at += step
				v := int(m.Pix[at])
				m.Pix[at] = uint8((before + 2*v + int(m.Pix[at+step]) + 2) / 4)
				before = v
			}
		}
	}
}

func writeJPEG(path string, m image.Image) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = jpeg.Encode(f, m, &jpeg.Options{Quality: 92})
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
