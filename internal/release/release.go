// Package release takes a model package from a folder to live: it publishes
// into the registry, lets the gate judge, and moves the live pointer on one
// person's approval of what another has published. Rolling back is open to
// anybody with a reason, since it goes to what was live before.
package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/gate"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/registry"
)

// The errors that a person meets who asks for what is not to be had. Their
// texts say what to do.
var (
	ErrSamePerson = errors.New("whoever published a model cannot approve it: somebody else must")
	ErrNoReason   = errors.New("a name and a reason are needed")
	ErrResearch   = errors.New("the model is for research only: approve it with --allow-research, for trials, where the deployment has AllowResearchModel")
	ErrAlready    = errors.New("the model is live already")
	ErrNotEarlier = errors.New("no earlier model to go back to")
	ErrNeverLive  = errors.New("the model was never live: approve it instead")
)

// RefusedError is the gate's refusal.
type RefusedError struct{ Verdict registry.Verdict }

func (e *RefusedError) Error() string {
	var checks []string
	for _, f := range e.Verdict.Refusals() {
		checks = append(checks, f.Check)
	}
	return "the gate refuses the model: " + strings.Join(checks, ", ")
}

// Desk is where models are released.
type Desk struct {
	Registry *registry.Registry
	Limits   gate.Limits
	Try      func(*model.Package) error // loads and runs a model before it is approved; nil: it is not tried
	Now      func() time.Time
	Version  string // of the code, for the record
}

// Publish verifies the package in fsys, stores it, and returns what the gate
// would say to an approval now. A model that the gate refuses is stored all the
// same: nothing reads it before it is approved.
func (d *Desk) Publish(ctx context.Context, fsys fs.FS, author string) (registry.Published, registry.Verdict, error) {
	if strings.TrimSpace(author) == "" {
		return registry.Published{}, registry.Verdict{}, fmt.Errorf("publish model: %w", ErrNoReason)
	}
	pkg, err := model.ReadPackage(fsys)
	if err != nil {
		return registry.Published{}, registry.Verdict{}, err
	}
	manifest, err := fs.ReadFile(fsys, model.ManifestName)
	if err != nil {
		return registry.Published{}, registry.Verdict{}, fmt.Errorf("read manifest: %w", err)
	}
	if digest.Of(manifest) != pkg.Hash {
		return registry.Published{}, registry.Verdict{}, errors.New("publish model: the package is being changed")
	}
	published, err := d.Registry.Upload(ctx, registry.Package{
		Manifest: manifest,
		Files:    pkg.Files(),
		Published: registry.Published{
			Name: pkg.Manifest.Name, Use: string(pkg.Manifest.Use), Author: strings.TrimSpace(author),
			Time: d.Now().UTC(), Version: d.Version,
		},
	})
	if err != nil {
		return registry.Published{}, registry.Verdict{}, err
	}
	verdict, err := d.Check(ctx, published.Model)
	return published, verdict, err
}

// Check lets the gate judge a model of the registry against the one that is
// live now.
func (d *Desk) Check(ctx context.Context, candidate string) (registry.Verdict, error) {
	live, err := d.pointer(ctx)
	if err != nil {
		return registry.Verdict{}, err
	}
	return d.judge(ctx, candidate, live)
}

// pointer is where the live pointer stands. The zero value is a registry where
// nothing was ever live.
type pointer struct {
	n      int
	record registry.Live
	hash   string
	err    error // the record is broken
}

func (d *Desk) pointer(ctx context.Context) (pointer, error) {
	numbers, err := d.Registry.Numbers(ctx)
	if err != nil || len(numbers) == 0 {
		return pointer{}, err
	}
	p := pointer{n: numbers[len(numbers)-1]}
	p.record, p.hash, err = d.Registry.Record(ctx, p.n)
	if errors.Is(err, registry.ErrBroken) {
		p.err, err = err, nil
	}
	return p, err
}

func (d *Desk) judge(ctx context.Context, candidate string, live pointer) (registry.Verdict, error) {
	verdict := registry.Verdict{Limits: d.Limits.Hash}
	mine, err := d.facts(ctx, candidate)
	if err != nil {
		return registry.Verdict{}, err
	}
	if mine.evaluation == nil {
		verdict.Findings = []registry.Finding{gate.Missing(candidate)}
		return verdict, nil
	}

	var theirs facts
	switch {
	case live.err != nil:
		verdict.Findings = []registry.Finding{brokenLive(live.err)}
		return verdict, nil
	case live.n == 0 || live.record.Model == registry.Packaged:
		// The packaged model is with the function; here only absolute limits count.
	default:
		theirs, err = d.facts(ctx, live.record.Model)
		if errors.Is(err, registry.ErrBroken) {
			verdict.Findings = []registry.Finding{brokenLive(err)}
			return verdict, nil
		}
		if err != nil {
			return registry.Verdict{}, err
		}
		verdict.Against = live.record.Model
	}
	if mine.core == theirs.core {
		// The live model itself, measured anew: it would be held against itself.
		theirs.evaluation = nil
	}
	verdict.Findings = gate.Judge(d.Limits, mine.evaluation, theirs.evaluation)
	return verdict, nil
}

func brokenLive(err error) registry.Finding {
	return registry.Finding{Check: "live", Sentence: fmt.Sprintf("The live model cannot be compared with: %v. Go back to one that can, with `agequote models rollback`.", err)}
}

// facts are what the gate needs of a model in the registry.
type facts struct {
	evaluation *gate.Evaluation // nil: the package has none
	core       string           // hash of all that makes an estimate what it is
}

// facts reads a model's manifest and evaluation, and not its networks. The
// manifest of a model that is live may be older than this code, so it is read
// by its fields alone.
func (d *Desk) facts(ctx context.Context, hash string) (facts, error) {
	files := d.Registry.Files(ctx, hash)
	b, err := files.ReadFile(model.ManifestName)
	if err != nil {
		return facts{}, err
	}
	var named struct {
		Files map[string]string `json:"files"`
	}
	all := map[string]any{}
	if err := errors.Join(json.Unmarshal(b, &named), json.Unmarshal(b, &all)); err != nil {
		return facts{}, fmt.Errorf("read manifest of %s: %w: %w", hash, registry.ErrBroken, err)
	}
	core, err := coreOf(all, named.Files)
	if err != nil {
		return facts{}, err
	}
	want, ok := named.Files[gate.EvaluationName]
	if !ok {
		return facts{core: core}, nil
	}
	if b, err = files.ReadFile(gate.EvaluationName); err != nil {
		return facts{}, err
	}
	if got := digest.Of(b); got != want {
		return facts{}, fmt.Errorf("verify %s of %s: it has hash %s: %w", gate.EvaluationName, hash, got, registry.ErrBroken)
	}
	e, err := gate.ParseEvaluation(b)
	if err != nil {
		return facts{}, fmt.Errorf("%s: %w: %w", hash, registry.ErrBroken, err)
	}
	return facts{evaluation: e, core: core}, nil
}

// coreOf hashes a manifest without its name and what was written about it.
func coreOf(manifest map[string]any, files map[string]string) (string, error) {
	networks := map[string]string{}
	for name, hash := range files {
		if strings.HasSuffix(name, ".onnx") {
			networks[name] = hash
		}
	}
	delete(manifest, "name")
	manifest["files"] = networks
	b, err := json.Marshal(manifest) // keys in order
	if err != nil {
		return "", fmt.Errorf("encode manifest: %w", err)
	}
	return digest.Of(b), nil
}

// Approval is a person's wish that a model go live.
type Approval struct {
	Model         string // "sha256:..."
	By, Why       string
	AllowResearch bool
}

// Approve moves the live pointer to a model that the gate passes against what
// is live at that moment, and returns the record. The whole package is read,
// verified and tried first. It returns *RefusedError, ErrSamePerson, ErrNoReason,
// ErrResearch, ErrAlready, or registry.ErrMoved where another moved the pointer
// in between.
func (d *Desk) Approve(ctx context.Context, a Approval) (registry.Live, error) {
	by, why := strings.TrimSpace(a.By), strings.TrimSpace(a.Why)
	if by == "" || why == "" {
		return registry.Live{}, fmt.Errorf("approve model: %w", ErrNoReason)
	}
	published, err := d.Registry.Published(ctx, a.Model)
	if err != nil {
		return registry.Live{}, fmt.Errorf("approve model: %w", err)
	}
	if strings.EqualFold(by, strings.TrimSpace(published.Author)) {
		return registry.Live{}, fmt.Errorf("approve model: %w", ErrSamePerson)
	}
	live, err := d.pointer(ctx)
	if err != nil {
		return registry.Live{}, err
	}
	if live.err == nil && live.record.Model == a.Model {
		return registry.Live{}, fmt.Errorf("approve model: %w", ErrAlready)
	}
	pkg, err := model.ReadPackage(d.Registry.Files(ctx, a.Model))
	if err != nil {
		return registry.Live{}, err
	}
	if pkg.Manifest.Use != model.Production && !a.AllowResearch {
		return registry.Live{}, fmt.Errorf("approve model: %w", ErrResearch)
	}
	if d.Try != nil {
		if err := d.Try(pkg); err != nil {
			return registry.Live{}, fmt.Errorf("try model: %w", err)
		}
	}
	verdict, err := d.judge(ctx, a.Model, live)
	if err != nil {
		return registry.Live{}, err
	}
	if !verdict.Passed() {
		return registry.Live{}, &RefusedError{verdict}
	}
	return d.move(ctx, live, registry.Live{
		Model: a.Model, Name: pkg.Manifest.Name, Use: string(pkg.Manifest.Use),
		Action: registry.Approved, ApprovedBy: by, Author: published.Author, Why: why, Gate: &verdict,
	})
}

// Rollback moves the pointer back: to the model, which must have been live
// before, or where model is empty to the last one before the present that was
// approved and is whole. What was live before the first record is the packaged model. The gate
// is not asked. It returns ErrNoReason, ErrAlready, ErrNotEarlier, ErrNeverLive,
// registry.ErrBroken for a model that is not whole, or registry.ErrMoved.
func (d *Desk) Rollback(ctx context.Context, model, by, why string) (registry.Live, error) {
	by, why = strings.TrimSpace(by), strings.TrimSpace(why)
	if by == "" || why == "" {
		return registry.Live{}, fmt.Errorf("roll back: %w", ErrNoReason)
	}
	history, err := d.Registry.History(ctx)
	if err != nil {
		return registry.Live{}, err
	}
	if len(history) == 0 {
		return registry.Live{}, fmt.Errorf("roll back: %w", ErrNotEarlier)
	}
	back, err := d.target(ctx, history, model)
	if err != nil {
		return registry.Live{}, fmt.Errorf("roll back: %w", err)
	}
	now := history[len(history)-1].N
	_, hash, err := d.Registry.Record(ctx, now)
	if err != nil && !errors.Is(err, registry.ErrBroken) {
		return registry.Live{}, err
	}
	return d.move(ctx, pointer{n: now, hash: hash}, registry.Live{
		Model: back.Model, Name: back.Name, Use: back.Use,
		Action: registry.RolledBack, ApprovedBy: by, Author: back.Author, Why: why, Restores: back.N,
	})
}

// target finds the record whose model a rollback makes live again.
func (d *Desk) target(ctx context.Context, history []registry.Line, model string) (registry.Live, error) {
	present := history[len(history)-1].Live
	if model != "" {
		if present.Model == model {
			return registry.Live{}, ErrAlready
		}
		for _, l := range slices.Backward(history) {
			if l.Model == model && model != registry.Packaged {
				return origin(history, l.Live), d.verify(ctx, model)
			}
		}
		if model == registry.Packaged {
			return registry.Live{Model: registry.Packaged}, nil
		}
		return registry.Live{}, ErrNeverLive
	}
	if present.Model == registry.Packaged {
		return registry.Live{}, ErrNotEarlier
	}
	// A rollback stands for the record that it restored, so that the next one
	// goes further back and not forward again.
	at := origin(history, present).N
	for _, l := range slices.Backward(history) {
		approved := l.ApprovedBy != "" && (l.Action == registry.Approved || l.Action == registry.RolledBack)
		if l.N >= at || !approved || l.Model == present.Model {
			continue
		}
		err := d.verify(ctx, l.Model)
		if err == nil {
			return origin(history, l.Live), nil
		}
		if errors.Is(err, registry.ErrUnavailable) {
			return registry.Live{}, err
		}
	}
	return registry.Live{Model: registry.Packaged}, nil
}

// verify reads a whole package. A packaged model is verified where it is built.
func (d *Desk) verify(ctx context.Context, hash string) error {
	if hash == registry.Packaged {
		return nil
	}
	_, err := model.ReadPackage(d.Registry.Files(ctx, hash))
	return err
}

// origin follows rollbacks to the record that first made the model live.
func origin(history []registry.Line, l registry.Live) registry.Live {
	for range history {
		if l.Restores == 0 {
			break
		}
		for _, before := range history {
			if before.N == l.Restores {
				l = before.Live
				break
			}
		}
	}
	return l
}

// move writes the next record.
func (d *Desk) move(ctx context.Context, from pointer, l registry.Live) (registry.Live, error) {
	l.N, l.Previous = from.n+1, from.hash
	l.Time, l.Version = d.Now().UTC(), d.Version
	return l, d.Registry.Append(ctx, l)
}
