package model

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"

	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/reason"
)

// Files returns the package's files by name, without the manifest. They must
// not be changed.
func (p *Package) Files() map[string][]byte { return maps.Clone(p.files) }

// SelfTest runs both networks once, on a picture without a face and on a grey
// crop. It fails where the package loads but cannot estimate: a network whose
// shapes or classes are not those of the manifest, or whose output is no
// distribution.
func (m *Model) SelfTest() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("test model: panic: %v", v)
		}
	}()
	grey := image.NewRGBA(image.Rect(0, 0, face.Size, face.Size))
	draw.Draw(grey, grey.Rect, image.NewUniform(color.Gray{Y: 128}), image.Point{}, draw.Src)

	var photo bytes.Buffer
	if err := png.Encode(&photo, grey); err != nil {
		return fmt.Errorf("test model: %w", err)
	}
	if _, err := m.Read(photo.Bytes()); reason.Of(err) == reason.Internal {
		return fmt.Errorf("test face detector: %w", err)
	}
	if _, err := m.Distribution(grey); err != nil {
		return fmt.Errorf("test age network: %w", err)
	}
	return nil
}
