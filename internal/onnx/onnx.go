// Package onnx runs ONNX models through ONNX Runtime's shared library. It finds
// the library, starts the runtime once a process, and hides its memory. It
// knows nothing of faces or ages.
package onnx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	ort "github.com/yalue/onnxruntime_go"
)

// Version is the release of ONNX Runtime that infra/onnxruntime.sh fetches and
// against whose API onnxruntime_go is built.
const Version = "1.24.1"

// libraryName is what the shared library is called on this system.
func libraryName() string {
	switch runtime.GOOS {
	case "darwin":
		return "libonnxruntime.dylib"
	case "windows":
		return "onnxruntime.dll"
	}
	return "libonnxruntime.so.1"
}

// Find returns the path of ONNX Runtime's shared library: explicit if that is
// not empty, else lib/ beside the executable or beside its folder (as in a
// Lambda package), else the cache that `make onnxruntime` fills.
func Find(explicit string) (string, error) {
	if explicit != "" {
		return explicit, nil
	}
	var tried []string
	if exe, err := os.Executable(); err == nil {
		dir := filepath.Dir(exe)
		tried = append(tried, filepath.Join(dir, "lib", libraryName()), filepath.Join(dir, "..", "lib", libraryName()))
	}
	if cache, err := cacheDir(); err == nil {
		tried = append(tried, filepath.Join(cache, "agequote", "onnxruntime", Version, runtime.GOOS+"-"+runtime.GOARCH, libraryName()))
	}
	for _, path := range tried {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed; run `make onnxruntime` (looked in %q)", libraryName(), tried)
}

// cacheDir is where the Makefile caches, on every system alike.
func cacheDir() (string, error) {
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".cache"), err
}

var started struct {
	sync.Mutex
	path string
}

// Start loads the shared library and starts the runtime. A process has one: a
// second call with the same path does nothing, with another it fails.
func Start(path string) error {
	started.Lock()
	defer started.Unlock()
	if started.path != "" {
		if started.path != path {
			return fmt.Errorf("start ONNX Runtime: already started from %s", started.path)
		}
		return nil
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("start ONNX Runtime: %w", err)
	}
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return fmt.Errorf("start ONNX Runtime: %w", err)
	}
	started.path = path
	return nil
}

// Session is a loaded model with one input and named float32 outputs. It
// may be used by many goroutines at once.
type Session struct {
	session *ort.DynamicAdvancedSession
	outputs int
	busy    atomic.Int64 // nanoseconds
}

// Busy is the time spent in runs so far, added up over goroutines.
func (s *Session) Busy() time.Duration { return time.Duration(s.busy.Load()) }

// Options of a session.
type Options struct {
	Threads int // inside one Run; zero means 1
}

// Open loads a model from its bytes. The runtime must have been started. It
// fails if the model lacks the input or one of the outputs.
func Open(model []byte, input string, outputs []string, o Options) (*Session, error) {
	inputs, found, err := names(model)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	if !slices.Equal(inputs, []string{input}) {
		return nil, fmt.Errorf("read model: want the one input %q", input)
	}
	for _, name := range outputs {
		if !slices.Contains(found, name) {
			return nil, fmt.Errorf("read model: no output %q", name)
		}
	}

	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("set session options: %w", err)
	}
	defer options.Destroy()
	if err := errors.Join(
		options.SetIntraOpNumThreads(max(1, o.Threads)),
		options.SetInterOpNumThreads(1),
		options.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll),
		options.SetLogSeverityLevel(ort.LoggingLevelError),
	); err != nil {
		return nil, fmt.Errorf("set session options: %w", err)
	}
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(model, []string{input}, outputs, options)
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	return &Session{session: session, outputs: len(outputs)}, nil
}

// Run feeds input, laid out as shape says, and returns the outputs flattened,
// in the order given to Open.
func (s *Session) Run(input []float32, shape ...int64) ([][]float32, error) {
	return run(s, input, shape)
}

// RunBytes is Run for a model whose input is bytes.
func (s *Session) RunBytes(input []byte, shape ...int64) ([][]float32, error) {
	return run(s, input, shape)
}

func run[T float32 | uint8](s *Session, input []T, shape []int64) ([][]float32, error) {
	in, err := ort.NewTensor(ort.NewShape(shape...), input)
	if err != nil {
		return nil, fmt.Errorf("make input tensor: %w", err)
	}
	defer in.Destroy()

	values := make([]ort.Value, s.outputs) // nil: the runtime makes them
	started := time.Now()
	err = s.session.Run([]ort.Value{in}, values)
	s.busy.Add(int64(time.Since(started)))
	if err != nil {
		return nil, fmt.Errorf("run model: %w", err)
	}
	out := make([][]float32, len(values))
	for i, v := range values {
		t, ok := v.(*ort.Tensor[float32])
		if ok {
			out[i] = slices.Clone(t.GetData()) // the runtime frees its own
		}
		err = errors.Join(err, v.Destroy())
		if !ok {
			err = errors.Join(err, fmt.Errorf("run model: output %d is no float32 tensor", i))
		}
	}
	return out, err
}

// Close frees the model; without one it does nothing.
func (s *Session) Close() error {
	if s == nil {
		return nil
	}
	return s.session.Destroy()
}
