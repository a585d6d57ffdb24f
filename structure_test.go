// Package agequote_test holds the project to its own rules: what may import
// what, and what the built functions need of the system that they run on.
package agequote_test

import (
	"debug/elf"
	"errors"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const module = "github.com/agequote/agequote"

// goList runs go list and returns its lines.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestImports(t *testing.T) {
	const (
		training   = "github.com/gomlx/"
		localS3    = "github.com/versity/"
		localStack = module + "/internal/local"
		network    = "net/http"
		onnx       = "github.com/yalue/onnxruntime_go"
		aws        = "github.com/aws/"
		clock      = "log/slog"
	)
	tests := []struct {
		pkg    string
		bad    []string
		reason string
	}{
		{"functions/predict", []string{training, localS3, localStack}, "what serves must stay small, and know nothing of the local stack"},
		{"functions/quote", []string{training, localS3, localStack, onnx}, "pricing needs no network"},
		{"functions/failed", []string{training, localS3, localStack, onnx}, "sending again needs no network"},
		{"functions/onboard", []string{training, localS3, localStack, onnx}, "what customers wait for must start quickly"},
		{"functions/review", []string{training, localS3, localStack, onnx}, "underwriters wait for it, and it reads no photo"},
		{"internal/age", []string{aws, onnx, network, clock, module}, "pure: values in, values out"},
		{"internal/premium", []string{aws, onnx, network, clock, module}, "pure: values in, values out"},
		{"internal/underwriting", []string{aws, onnx, network, clock, module + "/internal/face", module + "/internal/s3store"}, "pure: values in, values out"},
		{"internal/agreement", []string{aws, onnx, network, clock, module}, "pure: values in, values out"},
		{"internal/sample", []string{aws, onnx, network, clock, module}, "pure: values in, values out"},
		{"internal/audit", []string{aws, onnx, network, clock, module + "/internal/review"}, "an examiner can read all of it"},
		{"internal/letter", []string{aws, onnx, network, clock, module + "/internal/rulebook"}, "pure: a letter holds what is in the record alone"},
		{"internal/picturehash", []string{aws, onnx, network, clock, module}, "pure: a picture in, a hash out, and no face"},
		{"internal/face", []string{aws, onnx, network, clock}, "ONNX comes in through its interface"},
		{"internal/gate", []string{aws, onnx, network, clock}, "pure: values in, values out"},
		{"internal/registry", []string{aws, onnx, network, clock}, "knows packages by their hashes alone, and S3 not at all"},
		{"internal/evaluation", []string{aws, onnx, network}, "measures, and reads no faces"},
		{"training/similar", []string{aws, onnx, network, clock, training}, "pure: values in, values out"},
	}
	for _, tt := range tests {
		t.Run(tt.pkg, func(t *testing.T) {
			own := module + "/" + tt.pkg
			for _, dep := range goList(t, "-deps", "./"+tt.pkg) {
				for _, bad := range tt.bad {
					if dep != own && strings.HasPrefix(dep, bad) {
						t.Errorf("imports %s: %s", dep, tt.reason)
					}
				}
			}
		})
	}
}

// TestNoFacesAreCompared keeps the comparison of faces, and with it all of
// training, out of what serves: nobody has agreed to it there.
func TestNoFacesAreCompared(t *testing.T) {
	for _, dep := range goList(t, "-deps", "./functions/...", "./internal/...", "./cmd/...") {
		if strings.HasPrefix(dep, module+"/training") {
			t.Errorf("what serves imports %s", dep)
		}
	}
}

func TestPackagesHaveComments(t *testing.T) {
	for _, line := range goList(t, "-f", "{{.ImportPath}}\t{{.Name}}\t{{.Doc}}", "./...") {
		path, rest, _ := strings.Cut(line, "\t")
		name, doc, _ := strings.Cut(rest, "\t")
		if strings.HasSuffix(path, "/agequote") && name == "" || path == module {
			continue // this folder has tests alone
		}
		if doc == "" {
			t.Errorf("%s has no package comment", path)
		}
	}
}

// TestBootstrapsRunOnAL2023 reads the glibc symbols that the built functions
// and ONNX Runtime ask for. Amazon Linux 2023 has 2.34.
func TestBootstrapsRunOnAL2023(t *testing.T) {
	files, err := filepath.Glob("build/*Function/bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	libraries, err := filepath.Glob("build/*Function/lib/*.so*")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		if os.Getenv("AGEQUOTE_REQUIRE") != "" {
			t.Fatal("no function is built")
		}
		t.Skip("no function is built; run make functions")
	}
	for _, file := range append(files, libraries...) {
		t.Run(file, func(t *testing.T) {
			f, err := elf.Open(file)
			if err != nil {
				t.Skip("built for another system")
			}
			defer f.Close()
			symbols, err := f.ImportedSymbols()
			if err != nil && f.Section(".dynsym") != nil {
				t.Fatal(err)
			}
			for _, s := range symbols {
				version, ok := strings.CutPrefix(s.Version, "GLIBC_2.")
				if !ok {
					continue
				}
				minor, _, _ := strings.Cut(version, ".")
				if n, err := strconv.Atoi(minor); err != nil || n > 34 {
					t.Errorf("%s needs %s", s.Name, s.Version)
				}
			}
		})
	}
}

var link = regexp.MustCompile("\\[(`?)([^]`]+)`?\\]\\(([^)# ]+)[^)]*\\)")

// TestLinks follows every link between our documents and files. A link whose
// text is a name in code font, to a Go file, promises that the file declares
// that name.
func TestLinks(t *testing.T) {
	files, err := exec.CommandContext(t.Context(), "find", ".", "-name", "*.md", "-not", "-path", "./build/*", "-not", "-path", "./.aws-sam/*").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range strings.Fields(string(files)) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			code, name, target := m[1] == "`", m[2], m[3]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			target = filepath.Join(filepath.Dir(file), target)
			content, err := os.ReadFile(target)
			if err != nil && !errors.Is(err, syscall.EISDIR) {
				t.Errorf("%s: %s: %v", file, name, err)
				continue
			}
			if code && filepath.Ext(target) == ".go" && token.IsIdentifier(name) && !declares(string(content), name) {
				t.Errorf("%s: %s does not declare %s", file, target, name)
			}
		}
	}
}

func declares(source, name string) bool {
	return regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|type |var |const |\t)` + regexp.QuoteMeta(name) + `\b`).MatchString(source)
}
