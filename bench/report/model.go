package report

import (
	"os"

	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/onnx"
)

// OpenModel starts the runtime and loads the package in a folder, for research
// use too.
func OpenModel(dir string) (*model.Model, error) {
	library, err := onnx.Find("")
	if err != nil {
		return nil, err
	}
	if err := onnx.Start(library); err != nil {
		return nil, err
	}
	pkg, err := model.ReadPackage(os.DirFS(dir))
	if err != nil {
		return nil, err
	}
	return model.Open(pkg, model.Options{AllowResearch: true})
}
