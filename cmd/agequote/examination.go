package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/examination"
	"github.com/agequote/agequote/internal/fairness"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/progress"
	"github.com/agequote/agequote/internal/registry"
	"github.com/agequote/agequote/internal/version"
	"github.com/agequote/agequote/rules"
)

func examinationCommand() *command {
	return &command{
		name:    "export-examination",
		summary: "packs what an examiner asks for about a period into one archive",
		usage: `Writes one ZIP with an index: models that were live in the period with their cards,
evaluations and approvals; the rule book and its approvals; decisions of the period
with a check of their chains; complaints; stops, starts and holds; the fairness
report; and counts that balance. The same stores, period and program give the same
bytes. Exit status 1 tells that something does not balance, follow or exist; the
archive says what.

  agequote export-examination --cases build/demo --from 2026-10-01 --to 2026-12-31 --out q4.zip
  agequote export-examination --verify q4.zip

Without --with-personal, facts about health, dates of birth and free text are left
out, and each such file is marked. A case is in the period by the time of its
objects; what came after the period is left out. docs/governance.md says which
file answers which question.
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			var d examinationDesk
			d.buckets.register(fs)
			fs.StringVar(&d.models, "models", "", "models `BUCKET` or folder (default: by --stack, else $MODELS_BUCKET, or beside --cases)")
			d.model.register(fs)
			fs.StringVar(&d.heads, "audit", "", "audit `BUCKET` or folder, with the heads of chains (default: by --stack, else $AUDIT_BUCKET, or beside --cases)")
			fs.StringVar(&d.from, "from", "", "first `DAY` of the period, YYYY-MM-DD, UTC")
			fs.StringVar(&d.to, "to", "", "last `DAY` of the period")
			fs.StringVar(&d.labels, "labels", "", "`FILE` of true ages and groups for the fairness report, a TSV")
			fs.StringVar(&d.previous, "previous", "", "`FILE` of the fairness report before")
			fs.BoolVar(&d.personal, "with-personal", false, "leave in what is personal")
			fs.StringVar(&d.out, "out", "", "`FILE` to write")
			verify := fs.String("verify", "", "check this `FILE` against its index, and write nothing")
			return func(ctx context.Context, e *env, args []string) error {
				if len(args) > 0 {
					return usagef("export-examination: takes flags only, not %q", args[0])
				}
				d.env = e
				if *verify != "" {
					return d.verify(*verify)
				}
				if d.out == "" {
					return usagef("export-examination: --from, --to and --out are needed")
				}
				if err := d.buckets.fill(ctx, e); err != nil {
					return err
				}
				return d.run(ctx)
			}
		},
	}
}

// examinationDesk is one run of the command.
type examinationDesk struct {
	env *env
	replayDesk
	from, to, out    string
	labels, previous string
	heads            string
	personal         bool
}

func (d *examinationDesk) run(ctx context.Context) (err error) {
	period, err := fairness.ParsePeriod(d.from, d.to)
	if err != nil {
		return usagef("export-examination: --from, --to: %v", err)
	}
	stored, err := openBucket(ctx, d.buckets.cases, "cases")
	if err != nil {
		return err
	}
	ids, err := caseIDs(ctx, stored)
	if err != nil {
		return err
	}
	report, err := d.fairness(ctx)
	if err != nil {
		return err
	}
	in := examination.Input{From: d.from, To: d.to, Period: period, Personal: d.personal, Cases: stored, IDs: ids,
		Package: d.local, Rules: rules.FS, Fairness: report, Version: version.String()}
	name, err := d.buckets.beside(ctx, d.env, d.models, "models")
	if err != nil {
		return err
	}
	if name != "" {
		objects, err := openBucket(ctx, name, "models")
		if err != nil {
			return err
		}
		in.Registry = &registry.Registry{Objects: readOnly{objects}}
	}
	if name, err = d.buckets.beside(ctx, d.env, d.heads, "audit"); err != nil {
		return err
	}
	if name != "" {
		if in.Heads, err = openBucket(ctx, name, "audit"); err != nil {
			return err
		}
	}
	bar := progress.New(d.env.stderr, len(ids), "cases")
	defer bar.Finish()
	in.Done = bar.Done
	index, hash, err := d.write(ctx, in)
	if err != nil {
		return err
	}
	return d.tell(index, hash)
}

// write makes the archive beside its place, and moves it there when it is whole.
func (d *examinationDesk) write(ctx context.Context, in examination.Input) (index examination.Index, hash string, err error) {
	f, err := os.CreateTemp(filepath.Dir(d.out), "."+filepath.Base(d.out)+"-*") // for the owner alone
	if err != nil {
		return index, "", fmt.Errorf("make archive: %w", err)
	}
	defer os.Remove(f.Name()) // gone where it was moved
	sum := sha256.New()
	buffer := bufio.NewWriter(io.MultiWriter(f, sum))
	index, err = examination.Export(ctx, buffer, in)
	if err := errors.Join(err, buffer.Flush(), f.Close()); err != nil {
		return index, "", err
	}
	if err := os.Rename(f.Name(), d.out); err != nil {
		return index, "", fmt.Errorf("write archive: %w", err)
	}
	return index, "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// fairness makes the period's report, as agequote fairness does.
func (d *examinationDesk) fairness(ctx context.Context) (map[string][]byte, error) {
	f := fairnessDesk{env: d.env, cases: d.buckets, from: d.from, to: d.to, labels: d.labels, previous: d.previous, ages: "18-75"}
	report, err := f.run(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := report.Encode()
	if err != nil {
		return nil, err
	}
	page, err := fairness.Page(report)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{fairnessJSON: raw, fairnessHTML: page}, nil
}

// local finds the package in --model or beside the program: fs.ErrNotExist where
// that is another.
func (d *examinationDesk) local(_ context.Context, hash string) (fs.ReadFileFS, error) {
	dir := d.model.dir
	if dir == "" {
		found, err := beside("models", model.ManifestName)
		if err != nil {
			return nil, fs.ErrNotExist
		}
		dir = found
	}
	files, ok := os.DirFS(dir).(fs.ReadFileFS)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	manifest, err := files.ReadFile(model.ManifestName)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if digest.Of(manifest) != hash {
		return nil, fs.ErrNotExist
	}
	return files, nil
}

// tell prints what the archive holds, and ends with an error where it says that
// something is wrong.
func (d *examinationDesk) tell(index examination.Index, hash string) error {
	c := index.Counts
	fmt.Fprintf(d.env.stdout, "%s\n%s\n", d.out, hash)
	fmt.Fprintf(d.env.stdout, "%d cases = %d in the archive (%d of them erased) + %d outside the period + %d without an object of a known time + %d unreadable\n",
		c.Listed, c.Archived, c.Erased, c.Outside, c.Empty, c.Unreadable)
	fmt.Fprintf(d.env.stdout, "%d objects = %d in the archive (%d redacted) + %d after the period + %d of no known kind\n", c.Objects, c.Written, c.Redacted, c.Later, c.LeftOut)
	fmt.Fprintf(d.env.stdout, "%d of %d chains verify\n", c.ChainsOK, c.Archived)
	for _, p := range index.Problems {
		fmt.Fprintf(d.env.stdout, "problem: %s\n", p)
	}
	for _, m := range index.Missing {
		fmt.Fprintf(d.env.stdout, "missing: %s\n", m)
	}
	switch {
	case !index.Balanced:
		return errors.New("the counts do not balance")
	case len(index.Problems)+len(index.Missing) > 0:
		return fmt.Errorf("%d problems, %d things missing; the archive is written and says so", len(index.Problems), len(index.Missing))
	}
	return nil
}

func (d *examinationDesk) verify(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	index, problems, err := examination.Verify(f, info.Size())
	if err != nil {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(d.env.stdout, p)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%d files do not agree with the index", len(problems))
	}
	_, err = fmt.Fprintf(d.env.stdout, "every file of %s to %s is as the index says; %d problems and %d missing things were noted when it was made\n",
		index.From, index.To, len(index.Problems), len(index.Missing))
	return err
}
