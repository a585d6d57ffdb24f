package examination

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/registry"
)

// modelFiles writes the history of what was live up to the period's end, and
// the files of each model that was live in it or read a photo in it. Networks
// are named by their hash in the manifest, and are not in the archive.
func (x *export) modelFiles() error {
	if err := x.live(); err != nil {
		return err
	}
	for _, hash := range slices.Sorted(maps.Keys(x.models)) {
		if err := x.model(hash); err != nil {
			return err
		}
	}
	return nil
}

// live writes the registry's records, and notes the models that were live in
// the period: the one that was when it began, and all that came.
func (x *export) live() error {
	if x.Registry == nil {
		x.missing("the registry of models: none was given, so that who approved the models is not told")
		return nil
	}
	lines, err := x.Registry.History(x.ctx)
	if err != nil {
		return err
	}
	atStart := ""
	for _, l := range lines {
		if l.Err != nil {
			x.problem("live/%06d.json: %v", l.N, l.Err)
		}
		if !l.Time.Before(x.end()) {
			continue
		}
		switch {
		case l.Model == registry.Packaged || l.Model == "": // read by its hash, where it read a photo
			if l.Time.Before(x.Period.From) {
				atStart = ""
			}
		case l.Time.Before(x.Period.From):
			atStart = l.Model
		default:
			x.models[l.Model] = true
		}
		key := fmt.Sprintf("live/%06d.json", l.N)
		body, err := x.Registry.Objects.Get(x.ctx, key, maxObject)
		if err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		if err := x.archive.add(File{Path: "models/" + key, What: "a model became live: who approved it, why, and what the gate found", Bucket: "models", Key: key}, body); err != nil {
			return err
		}
	}
	if atStart != "" {
		x.models[atStart] = true
	}
	return nil
}

// whatModel says what a file of a model package is.
var whatModel = map[string]string{
	"manifest.json":   "the model's manifest: hashes of its files, its allowed use, its calibration and on how many photos of which data set",
	"card.md":         "the model's card: what it is for, what it was trained on, where it fails",
	"evaluation.json": "what was measured of the model, by group, and the hash of the labels that it was measured on",
	"published.json":  "who published the model, and when",
}

func (x *export) model(hash string) error {
	files, from, err := x.find(hash)
	if errors.Is(err, fs.ErrNotExist) {
		x.missing("model %s: it was in use, and its package is neither in the registry nor at hand", hash)
		return nil
	}
	if err != nil {
		return err
	}
	folder := "models/" + strings.TrimPrefix(hash, "sha256:") + "/"
	manifest, err := files.ReadFile("manifest.json")
	if err != nil {
		return fmt.Errorf("read manifest of %s: %w", hash, err)
	}
	if digest.Of(manifest) != hash {
		x.problem("model %s: its manifest has another hash, %s", hash, digest.Of(manifest))
	}
	var m struct{ Files map[string]string }
	if err := json.Unmarshal(manifest, &m); err != nil {
		return fmt.Errorf("read manifest of %s: %w", hash, errNotObject)
	}
	if err := x.archive.add(File{Path: folder + "manifest.json", What: whatModel["manifest.json"], Bucket: from.bucket, Key: from.folder + "manifest.json"}, manifest); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		if path.Ext(name) == ".onnx" || path.Base(name) != name {
			continue // a network: its hash is in the manifest
		}
		if err := x.modelFile(files, folder, from, name, m.Files[name]); err != nil {
			return err
		}
	}
	if x.Registry == nil || from.bucket != "models" {
		return nil
	}
	body, err := x.Registry.Objects.Get(x.ctx, folder+"published.json", maxObject)
	if err != nil {
		x.missing("model %s: who published it", hash)
		return nil
	}
	return x.archive.add(File{Path: folder + "published.json", What: whatModel["published.json"], Bucket: from.bucket, Key: from.folder + "published.json"}, body)
}

func (x *export) modelFile(files fs.ReadFileFS, folder string, from place, name, want string) error {
	body, err := files.ReadFile(name)
	if err != nil {
		x.problem("%s%s: cannot be read", folder, name)
		return nil
	}
	if got := digest.Of(body); got != want {
		x.problem("%s%s: has hash %s, the manifest says %s", folder, name, got, want)
	}
	what := whatModel[name]
	if what == "" {
		what = "a file of the model"
	}
	return x.archive.add(File{Path: folder + name, What: what, Bucket: from.bucket, Key: from.folder + name}, body)
}

// place is where a model's files were found.
type place struct{ bucket, folder string }

// find looks for a model's files in the registry, then at hand.
func (x *export) find(hash string) (files fs.ReadFileFS, from place, err error) {
	if x.Registry != nil {
		files := x.Registry.Files(x.ctx, hash)
		_, err := files.ReadFile("manifest.json")
		if err == nil {
			return files, place{"models", "models/" + strings.TrimPrefix(hash, "sha256:") + "/"}, nil
		}
		if !errors.Is(err, registry.ErrBroken) { // which is most often simply not there
			return nil, place{}, err
		}
	}
	if x.Package == nil {
		return nil, place{}, fs.ErrNotExist
	}
	files, err = x.Package(x.ctx, hash)
	return files, place{bucket: "package"}, err
}

// whatRules says what lies in each folder of the rule book.
var whatRules = map[string]string{
	"products":  "a product: limits, prices, which rules it goes by, who wrote and who approved it",
	"classes":   "risk classes, and the mortality tables behind them",
	"charts":    "a build chart",
	"questions": "questions, and what their answers do",
	"tables":    "the index of mortality tables: number, name, ages and hash of each",
	".":         "the history of approvals, each line with the hash of the one before it",
}

// rules writes the rule book but for the mortality tables themselves, and says
// which rule files quotes of the period rest on that are not in it.
func (x *export) rules() error {
	found := map[string]bool{}
	err := fs.WalkDir(x.Rules, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch path.Ext(name) {
		case ".yaml", ".jsonl":
		default:
			return nil // tables by the thousand lines, which their index names by hash
		}
		body, err := fs.ReadFile(x.Rules, name)
		if err != nil {
			return err
		}
		found[name+" "+digest.Of(body)] = true
		return x.archive.add(File{Path: "rules/" + name, What: whatRules[path.Dir(name)], Bucket: "program", Key: "rules/" + name}, body)
	})
	if err != nil {
		return fmt.Errorf("read rules: %w", err)
	}
	for _, used := range slices.Sorted(maps.Keys(x.ruleFiles)) {
		name, hash, _ := strings.Cut(used, " ")
		if !found[used] {
			x.missing("rule file %s in the version %s, by which quotes of the period were made: export with the program of that time too", name, hash)
		}
	}
	return nil
}
