package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/agequote/agequote/internal/model"
)

// modelFlags are the flags of every command that reads photos.
type modelFlags struct{ dir, library string }

func (f *modelFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&f.dir, "model", "", "`DIR` of the model package (default: models beside bin)")
	fs.StringVar(&f.library, "onnxruntime", "", "`FILE` of ONNX Runtime's shared library (default: found by itself)")
}

// open loads the model. A person at a terminal may use a research model: the
// estimate says what the model is for.
func (f *modelFlags) open() (*model.Model, error) {
	dir := f.dir
	if dir == "" {
		found, err := beside("models", model.ManifestName)
		if err != nil {
			return nil, err
		}
		dir = found
	}
	return model.Load(f.library, dir, model.Options{AllowResearch: true})
}

// beside finds a path of the project: in the working directory, else beside or
// above the executable, which `make build` puts into bin.
func beside(elem ...string) (string, error) {
	path := filepath.Join(elem...)
	roots := []string{"."}
	if exe, err := os.Executable(); err == nil {
		if resolved, err := filepath.EvalSymlinks(exe); err == nil {
			exe = resolved
		}
		roots = append(roots, filepath.Dir(exe), filepath.Dir(filepath.Dir(exe)))
	}
	for _, root := range roots {
		if _, err := os.Stat(filepath.Join(root, path)); err == nil {
			return filepath.Join(root, elem[0]), nil
		}
	}
	return "", fmt.Errorf("%s is neither here nor beside the program", path)
}
