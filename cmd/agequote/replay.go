package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/folder"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/registry"
	"github.com/agequote/agequote/internal/replay"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/version"
	"github.com/agequote/agequote/rules"
)

func replayCommand() *command {
	return &command{
		name:    "replay",
		summary: "computes the quotes of a case again and shows what differs",
		usage: `Starts from the stored application and age distribution, makes interval, decision
and premium again, and holds every hash and every byte against the record. Exit
status 1 tells a difference, which is shown field by field and rule by rule. A
quote made under rules that this binary no longer holds names them.

  agequote replay CASE --cases build/demo     a local stack's folder, or a bucket's
  agequote replay CASE --cases my-bucket      S3, with the settings of the aws command
  agequote replay CASE --stack agequote       S3, the buckets of that stack
  agequote replay CASE --photo                reads the photo again too, if it still exists

The interval is made again where the model's package is at hand: in --model, beside
the program, or in the models bucket. The photo's age may differ by 0.05 years.
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			var r replayDesk
			r.buckets.register(fs)
			fs.StringVar(&r.uploads, "uploads", "", "uploads `BUCKET` or folder (default: by --stack, else $UPLOADS_BUCKET, or beside --cases)")
			fs.StringVar(&r.models, "models", "", "models `BUCKET` or folder (default: by --stack, else $MODELS_BUCKET, or beside --cases)")
			r.model.register(fs)
			photo := fs.Bool("photo", false, "read the photo again too")
			asJSON := fs.Bool("json", false, "print one JSON line a quote")
			return func(ctx context.Context, e *env, args []string) error {
				if len(args) != 1 || !casefile.ValidID(args[0]) {
					return usagef("replay: name one case")
				}
				if err := r.buckets.fill(ctx, e); err != nil {
					return err
				}
				return r.run(ctx, e, args[0], *photo, *asJSON)
			}
		},
	}
}

// bucket is what the commands here ask of S3 or of a folder.
type bucket interface {
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
	GetVersion(ctx context.Context, key, version string, limit int64) ([]byte, error)
	List(ctx context.Context, prefix string) ([]string, error)
}

// casesFlag are the flags of every command that reads stored cases.
type casesFlag struct{ cases, stack string }

func (f *casesFlag) register(fs *flag.FlagSet) {
	fs.StringVar(&f.cases, "cases", "", "cases `BUCKET`, or the folder of one or of a local stack (default: by --stack, else $CASES_BUCKET)")
	fs.StringVar(&f.stack, "stack", "", "`NAME` of the stack that template.yaml was deployed as; its buckets, where none is named")
}

// fill finds the cases bucket where none is named.
func (f *casesFlag) fill(ctx context.Context, e *env) (err error) {
	if f.cases == "" {
		f.cases, err = f.other(ctx, e, "cases")
	}
	return err
}

// beside returns the flag's value, or the bucket of this kind that belongs to
// the cases: where --cases is a local stack's folder, that holds all buckets.
// "" is none.
func (f *casesFlag) beside(ctx context.Context, e *env, value, kind string) (string, error) {
	if value == "" {
		var err error
		if value, err = f.other(ctx, e, kind); err != nil {
			return "", err
		}
	}
	if info, err := os.Stat(f.cases); value == "" && err == nil && info.IsDir() {
		value = f.cases
	}
	return value, nil
}

// other is the stack's bucket of a kind, or the one that the environment names.
func (f *casesFlag) other(ctx context.Context, e *env, kind string) (string, error) {
	if f.stack == "" {
		return e.getenv(strings.ToUpper(kind) + "_BUCKET"), nil
	}
	d, err := findDeployment(ctx, f.stack)
	if err != nil {
		return "", err
	}
	return d.bucket(kind), nil
}

// openBucket opens a bucket of S3, or one in a folder where name is that of a
// folder.
func openBucket(ctx context.Context, name, kind string) (bucket, error) {
	if name == "" {
		return nil, usagef("no %s bucket: give --%s, or set %s_BUCKET", kind, kind, strings.ToUpper(kind))
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return folder.Open(name, kind)
	}
	return openS3(ctx, name)
}

// openS3 opens a bucket of S3, with the settings of the aws command.
func openS3(ctx context.Context, name string) (*s3store.Bucket, error) {
	aws, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load AWS settings: %w", err)
	}
	return &s3store.Bucket{Client: s3.NewFromConfig(aws), Name: name}, nil
}

type replayDesk struct {
	buckets         casesFlag
	uploads, models string
	model           modelFlags
}

func (r *replayDesk) run(ctx context.Context, e *env, id string, photo, asJSON bool) error {
	book, err := rulebook.Load(rules.FS)
	if err != nil {
		return fmt.Errorf("load rules: %w", err)
	}
	stored, err := openBucket(ctx, r.buckets.cases, "cases")
	if err != nil {
		return err
	}
	modelsName, err := r.buckets.beside(ctx, e, r.models, "models")
	if err != nil {
		return err
	}
	models := &packages{flags: &r.model, bucket: modelsName, known: map[string]*model.Package{}}
	replayer := &replay.Replayer{Cases: stored, Book: book, Version: version.String(),
		Calibration: models.calibration}
	if photo {
		name, err := r.buckets.beside(ctx, e, r.uploads, "uploads")
		if err != nil {
			return err
		}
		uploads, err := openBucket(ctx, name, "uploads")
		if err != nil {
			return err
		}
		again := &photos{uploads: uploads, packages: models}
		replayer.Photo = again.estimate
	}
	reports, err := replayer.Case(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("case %s: something of it is not in %s: %w", id, r.buckets.cases, err)
	}
	if err != nil {
		return err
	}
	different := 0
	for _, report := range reports {
		if !report.Same {
			different++
		}
		if asJSON {
			err = json.NewEncoder(e.stdout).Encode(report)
		} else {
			err = printReplay(e.stdout, report)
		}
		if err != nil {
			return fmt.Errorf("print report: %w", err)
		}
	}
	if different > 0 {
		return fmt.Errorf("%d of %d quotes differ from the record", different, len(reports))
	}
	return nil
}

func printReplay(out io.Writer, r replay.Report) error {
	verdict := "the same bytes"
	if !r.Same {
		verdict = "differs"
	}
	fmt.Fprintf(out, "%s: %s\n", r.Quote, verdict)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range r.Checks {
		text := shorten(c.Stored)
		if c.Now != "" && c.Now != c.Stored {
			text += " -> " + shorten(c.Now)
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", c.Name, c.Outcome, strings.TrimSpace(strings.Join([]string{text, c.Note}, "  ")))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, d := range r.Differences {
		if _, err := fmt.Fprintf(out, "    %s: stored %q, now %q\n", d.Field, d.Stored, d.Now); err != nil {
			return err
		}
	}
	return nil
}

// shorten is short for hashes, and leaves other text as it is.
func shorten(text string) string {
	if strings.HasPrefix(text, "sha256:") {
		return short(text)
	}
	return text
}

// packages finds model packages by their hash: the one that the flags name or
// that lies beside the program, else in the models bucket.
type packages struct {
	flags  *modelFlags
	bucket string // empty: none
	known  map[string]*model.Package
}

func (p *packages) find(ctx context.Context, hash string) (*model.Package, error) {
	if known := p.known[hash]; known != nil {
		return known, nil
	}
	found, err := p.local()
	if err != nil {
		return nil, err
	}
	if found == nil || found.Hash != hash {
		if found, err = p.registered(ctx, hash); err != nil {
			return nil, err
		}
	}
	p.known[hash] = found
	return found, nil
}

// local reads the package in a folder, nil where there is none.
func (p *packages) local() (*model.Package, error) {
	dir := p.flags.dir
	if dir == "" {
		found, err := beside("models", model.ManifestName)
		if err != nil {
			return nil, nil // none beside the program is no fault
		}
		dir = found
	}
	return model.ReadPackage(os.DirFS(dir))
}

func (p *packages) registered(ctx context.Context, hash string) (*model.Package, error) {
	if p.bucket == "" {
		return nil, replay.ErrNoModel
	}
	objects, err := openBucket(ctx, p.bucket, "models")
	if err != nil {
		return nil, err
	}
	r := registry.Registry{Objects: readOnly{objects}}
	found, err := model.ReadPackage(r.Files(ctx, hash))
	if errors.Is(err, registry.ErrBroken) {
		return nil, replay.ErrNoModel // most often simply not there
	}
	return found, err
}

// readOnly is a bucket that the registry cannot write to.
type readOnly struct{ bucket }

func (readOnly) PutIfAbsent(context.Context, string, []byte) error { return errors.ErrUnsupported }

func (p *packages) calibration(ctx context.Context, hash string) (func(age.Distribution) (age.Estimate, error), error) {
	found, err := p.find(ctx, hash)
	if err != nil {
		return nil, err
	}
	m := found.Manifest
	return func(d age.Distribution) (age.Estimate, error) { return m.Calibration.Estimate(d, m.Point) }, nil
}

// photos reads photos again.
type photos struct {
	uploads  bucket
	packages *packages
}

func (p *photos) estimate(ctx context.Context, e casefile.Estimate) (age.Estimate, error) {
	photo, err := p.uploads.GetVersion(ctx, e.Source.Key, e.Source.Version, int64(face.DefaultLimits.Bytes))
	if err != nil {
		return age.Estimate{}, err
	}
	if digest.Of(photo) != e.Photo {
		return age.Estimate{}, replay.ErrOtherPhoto
	}
	found, err := p.packages.find(ctx, e.Model)
	if err != nil {
		return age.Estimate{}, err
	}
	library, err := onnx.Find(p.packages.flags.library)
	if err != nil {
		return age.Estimate{}, err
	}
	if err := onnx.Start(library); err != nil {
		return age.Estimate{}, err
	}
	m, err := model.Open(found, model.Options{AllowResearch: true})
	if err != nil {
		return age.Estimate{}, err
	}
	defer m.Close()
	return m.Estimate(photo)
}
