package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/local"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/s3store"
	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/underwriting"
	"github.com/agequote/agequote/internal/upload"
	"github.com/agequote/agequote/internal/version"
)

func demoCommand() *command {
	return &command{
		name:    "demo",
		summary: "sends a selfie through the whole system on this machine",
		usage: `Starts the local stack, writes a consented application, uploads the photo with a
presigned form as a browser does, and waits: S3's event starts predict, whose
result starts quote. Prints the estimate, the premium, and where each object is.

The applicant is made up and declares a date of birth, which the photo has to
agree with. With --birth-date none it is the photo that gives the age.

  agequote demo
  agequote demo --birth-date none
  agequote demo --photo events/selfies/grace_hopper.jpg
  agequote demo --json
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			var d demo
			d.stack.register(fs, filepath.Join("build", "demo"))
			fs.StringVar(&d.photo, "photo", "", "`FILE` to upload (default: events/selfies/astronaut.png)")
			fs.StringVar(&d.facts.BirthDate, "birth-date", "1989-05-17", "declared `DATE`, YYYY-MM-DD, or none: then the photo gives the age")
			fs.StringVar(&d.facts.Sex, "sex", "female", "declared sex, `female|male`")
			fs.Float64Var(&d.facts.HeightCM, "height-cm", 168, "declared height in `CM`")
			fs.Float64Var(&d.facts.WeightKG, "weight-kg", 62, "declared weight in `KG`")
			fs.StringVar(&d.facts.Tobacco, "tobacco", "never", "declared, `never|former:YEARS|current`")
			sum := fs.Int64("sum", 250_000, "sum assured in whole `DOLLARS`")
			fs.IntVar(&d.facts.TermYears, "term", 20, "term in `YEARS`")
			asJSON := fs.Bool("json", false, "print one JSON object")
			return func(ctx context.Context, e *env, args []string) error {
				if len(args) > 0 {
					return usagef("demo: takes flags only, not %q", args[0])
				}
				if d.facts.BirthDate == "none" {
					d.facts.BirthDate = ""
				}
				d.facts.SumCents = *sum * 100
				d.facts.Market = "US"
				return d.run(ctx, e, *asJSON)
			}
		},
	}
}

type demo struct {
	stack stackFlags
	photo string
	facts underwriting.Facts
}

// journey is what became of one photo.
type journey struct {
	Schema       int               `json:"schema"`
	Case         string            `json:"case"`
	Photo        string            `json:"photo"` // the file
	PhotoBytes   int               `json:"photo_bytes"`
	Estimate     casefile.Estimate `json:"estimate"`
	Quote        *casefile.Quote   `json:"quote"`   // null for a refused photo
	Objects      map[string]string `json:"objects"` // what -> s3://bucket/key
	UploadMS     int64             `json:"upload_ms"`
	ToEstimateMS int64             `json:"to_estimate_ms"` // from the upload's end
	ToQuoteMS    int64             `json:"to_quote_ms"`
}

func (d *demo) run(ctx context.Context, e *env, asJSON bool) (err error) {
	photo := d.photo
	if photo == "" {
		selfies, err := beside("events", "selfies", "astronaut.png")
		if err != nil {
			return err
		}
		photo = filepath.Join(selfies, "selfies", "astronaut.png")
	}
	content, err := readPhoto(photo)
	if err != nil {
		return fmt.Errorf("read %s: %w", photo, err)
	}

	started := time.Now()
	s, err := d.stack.start(ctx, e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	fmt.Fprintf(e.stderr, "local stack up in %d ms: S3 at %s, Lambda at %s\n", time.Since(started).Milliseconds(), s.S3Endpoint(), s.LambdaEndpoint())

	j, err := d.travel(ctx, s, photo, content, e.now())
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(e.stdout).Encode(j)
	}
	return j.print(e.stdout, d.stack.dir)
}

// travel sends one photo and waits for what becomes of it.
func (d *demo) travel(ctx context.Context, s *local.Stack, photo string, content []byte, now time.Time) (journey, error) {
	const patience = time.Minute
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no quote after %v; see what the functions say with --verbose", patience))
	defer cancel()
	client, err := s3Client(ctx, s)
	if err != nil {
		return journey{}, err
	}
	uploads, casesBucket := s.Resource("UploadsBucket"), s.Resource("CasesBucket")
	stored := &s3store.Bucket{Client: client, Name: casesBucket}

	const n = 1
	id := casefile.NewID()
	if err := writeApplication(ctx, stored, id, d.facts, now); err != nil {
		return journey{}, err
	}
	key := casefile.UploadKey(id, n)
	form, err := presignUpload(ctx, client, uploads, key, content)
	if err != nil {
		return journey{}, err
	}
	sent := time.Now()
	if err := form.Send(ctx, content); err != nil {
		return journey{}, err
	}
	arrived := time.Now()

	j := journey{Schema: 1, Case: id, Photo: photo, PhotoBytes: len(content), UploadMS: arrived.Sub(sent).Milliseconds(), Objects: map[string]string{
		"application": "s3://" + casesBucket + "/" + casefile.ApplicationKey(id, n),
		"photo":       "s3://" + uploads + "/" + key,
		"estimate":    "s3://" + casesBucket + "/" + casefile.EstimateKey(id, n),
		"models":      "s3://" + s.Resource("ModelsBucket") + "/",
	}}
	j.Estimate, err = await[casefile.Estimate](ctx, stored, casefile.EstimateKey(id, n))
	if err != nil {
		return journey{}, err
	}
	j.ToEstimateMS = time.Since(arrived).Milliseconds()
	if j.Estimate.Code != reason.OK {
		return j, nil
	}
	quoteKey := casefile.QuoteKey(id, casefile.PhotoCause(n))
	quote, err := await[casefile.Quote](ctx, stored, quoteKey)
	if err != nil {
		return journey{}, err
	}
	j.ToQuoteMS = time.Since(arrived).Milliseconds()
	j.Quote = &quote
	j.Objects["quote"] = "s3://" + casesBucket + "/" + quoteKey
	return j, nil
}

// demoDays is how long the demo's applicant agrees that the photo is kept.
const demoDays = 30

// presignUpload makes a form for one photo, as onboarding does.
func presignUpload(ctx context.Context, client *s3.Client, bucket, key string, photo []byte) (upload.Form, error) {
	p := &upload.Presigner{Client: client, Bucket: bucket, Now: time.Now}
	size := int64(len(photo))
	return p.Presign(ctx, upload.Request{Key: key, Type: http.DetectContentType(photo), MinSize: size, MaxSize: size})
}

// writeApplication stores a consented application, as onboarding does.
func writeApplication(ctx context.Context, stored *s3store.Bucket, id string, facts underwriting.Facts, now time.Time) error {
	terms, err := consent.Current(demoDays)
	if err != nil {
		return err
	}
	body, err := cases.Encode(casefile.Application{
		Schema: casefile.Schema, Case: id, N: 1, Time: now.UTC(), Facts: facts,
		Consent: terms.Record(now), Version: version.String(), Salt: casefile.NewSalt(),
	})
	if err != nil {
		return err
	}
	if err := stored.PutIfAbsent(ctx, casefile.ApplicationKey(id, 1), body); err != nil {
		return fmt.Errorf("write application: %w", err)
	}
	return nil
}

// await polls for an object until it is there.
func await[T any](ctx context.Context, stored *s3store.Bucket, key string) (T, error) {
	for {
		o, err := cases.Read[T](ctx, stored, key)
		if err == nil {
			return o.Object, nil
		}
		if ctx.Err() != nil {
			return o.Object, context.Cause(ctx)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return o.Object, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// print tells the journey to a person. dir is where the buckets are kept.
func (j journey) print(w io.Writer, dir string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "case       %s\n", j.Case)
	fmt.Fprintf(&text, "photo      %s (%d KB), uploaded by presigned POST in %d ms\n", j.Photo, (j.PhotoBytes+1023)/1024, j.UploadMS)
	if e := j.Estimate; e.Code == reason.OK {
		fmt.Fprintf(&text, "estimate   %.1f years, %d ms after the upload (%d ms of it on the photo)\n", *e.Age, j.ToEstimateMS, e.MS)
		fmt.Fprintf(&text, "interval   %.1f to %.1f years, which holds the age of %.0f%% of people\n", *e.Low, *e.High, *e.Coverage*100)
		fmt.Fprintf(&text, "model      %s, for %s use\n", short(e.Model), e.ModelUse)
	} else {
		fmt.Fprintf(&text, "refused    %s: %s\n", e.Code, e.Message)
	}
	if j.Quote != nil {
		fmt.Fprintf(&text, "quote      %d ms after the upload\n\n", j.ToQuoteMS)
		if err := printQuote(&text, *j.Quote); err != nil {
			return err
		}
		j.printDuplicates(&text, dir)
	}
	fmt.Fprint(&text, "\nWhere it lies")
	if dir != "" {
		fmt.Fprintf(&text, " (buckets are folders in %s)", dir)
	}
	fmt.Fprintln(&text, ":")
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, what := range []string{"application", "photo", "estimate", "quote", "models"} {
		if name, ok := j.Objects[what]; ok {
			fmt.Fprintf(t, "  %s\t%s\n", what, name)
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print objects: %w", err)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// printDuplicates explains a quote that was referred because the same file came
// with another case: what a second demo in a folder that is kept gets.
func (j journey) printDuplicates(w io.Writer, dir string) {
	for _, r := range j.Quote.Reasons {
		if r.Code != underwriting.DuplicatePhoto {
			continue
		}
		others := strings.Fields(r.Value)
		fmt.Fprintf(w, "\nThe same file was sent with %d other cases before, such as %s: most likely by an earlier\ndemo, whose cases are kept", len(others), others[0])
		if dir != "" {
			fmt.Fprintf(w, " in %s. Another photo, or --dir with a new folder, is quoted without this reason", dir)
		}
		fmt.Fprintln(w, ".")
	}
}

// short is enough of a hash to recognise it by.
func short(hash string) string { return hash[:min(len(hash), len("sha256:")+12)] }
