package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/agequote/agequote/internal/gate"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/registry"
	"github.com/agequote/agequote/internal/release"
	"github.com/agequote/agequote/internal/version"
)

func modelsCommand() *command {
	return &command{
		name:    "models",
		summary: "shows the published models, and which is live; approves and rolls back",
		usage: `A model that ` + "`go run ./training publish`" + ` put into the models bucket goes live when
somebody other than its author approves it and the gate passes it against the
model that is live at that moment. predict follows within a minute. AWS settings
come from the environment, as for the aws command; for the local stack, from the
lines that ` + "`agequote dev`" + ` prints.

  agequote models list                    what is published, by whom, and its state
  agequote models show MODEL              one of them, with what the gate would say now
  agequote models live                    the model that is live, who approved it and why
  agequote models approve MODEL --by NAME --why REASON
  agequote models rollback --by NAME --why REASON            to what was live before
  agequote models rollback MODEL --by NAME --why REASON      to one of those before
  agequote models history                 what was live when

MODEL is a hash, or its beginning. "packaged" is the model that predict was
deployed with.
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			var m modelsDesk
			bucket := fs.String("bucket", "", "`NAME` of the models bucket (default: $MODELS_BUCKET)")
			fs.StringVar(&m.by, "by", "", "`NAME` of who approves or rolls back")
			fs.StringVar(&m.why, "why", "", "`REASON`, for the history")
			fs.BoolVar(&m.allowResearch, "allow-research", false, "approve a model for research use: for trials, where AllowResearchModel is yes")
			fs.StringVar(&m.library, "onnxruntime", "", "`FILE` of ONNX Runtime's shared library, to try a model before it goes live (default: found by itself)")
			fs.BoolVar(&m.json, "json", false, "print JSON, one object a line")
			return func(ctx context.Context, e *env, args []string) error {
				m.env = e
				if *bucket == "" {
					*bucket = e.getenv("MODELS_BUCKET")
				}
				return m.run(ctx, *bucket, args)
			}
		},
	}
}

// modelsDesk is a call of the models command.
type modelsDesk struct {
	env           *env
	desk          *release.Desk
	by, why       string
	library       string
	allowResearch bool
	json          bool
}

// run checks the call before anything is asked of the registry.
func (m *modelsDesk) run(ctx context.Context, bucket string, args []string) error {
	if len(args) == 0 {
		return usagef("models: one of list, show, live, approve, rollback and history is needed; see `agequote models -h`")
	}
	action, rest := args[0], args[1:]
	do, fewest, most := m.list, 0, 0
	switch action {
	case "list":
	case "show":
		do, fewest, most = m.show, 1, 1
	case "live":
		do = m.live
	case "approve":
		do, fewest, most = m.approve, 1, 1
	case "rollback":
		do, most = m.rollback, 1
	case "history":
		do = m.history
	default:
		return usagef("models: no action %q; see `agequote models -h`", action)
	}
	if len(rest) < fewest || len(rest) > most {
		return usagef("models %s: takes %d to %d models, not %q", action, fewest, most, rest)
	}
	if bucket == "" {
		return usagef("models: --bucket or $MODELS_BUCKET is needed")
	}
	if moves := action == "approve" || action == "rollback"; moves && (m.by == "" || m.why == "") {
		return usagef("models %s: --by and --why are needed", action)
	}
	if err := m.open(ctx, bucket); err != nil {
		return err
	}
	return do(ctx, rest)
}

func (m *modelsDesk) open(ctx context.Context, bucket string) error {
	limits, err := gate.Default()
	if err != nil {
		return err
	}
	models, err := openS3(ctx, bucket)
	if err != nil {
		return err
	}
	m.desk = &release.Desk{
		Registry: &registry.Registry{Objects: models},
		Limits:   limits,
		Try:      m.try,
		Now:      m.env.now,
		Version:  version.String(),
	}
	return nil
}

// try runs a model once as predict will.
func (m *modelsDesk) try(pkg *model.Package) (err error) {
	library, err := onnx.Find(m.library)
	if err != nil {
		return err
	}
	if err := onnx.Start(library); err != nil {
		return err
	}
	loaded, err := model.Open(pkg, model.Options{AllowResearch: true})
	if err != nil {
		return err
	}
	return errors.Join(loaded.SelfTest(), loaded.Close())
}

// find completes a model's hash.
func (m *modelsDesk) find(ctx context.Context, start string) (string, error) {
	if start == registry.Packaged || registry.ValidHash(start) {
		return start, nil
	}
	const enough = 6
	digits := strings.TrimPrefix(start, "sha256:")
	if len(digits) < enough {
		return "", usagef("models: %q is too short for a model, give at least %d digits", start, enough)
	}
	models, err := m.desk.Registry.Models(ctx)
	if err != nil {
		return "", err
	}
	found := slices.DeleteFunc(models, func(model string) bool { return !strings.HasPrefix(model, "sha256:"+digits) })
	if len(found) != 1 {
		return "", fmt.Errorf("%d models begin with %q; `agequote models list` shows all", len(found), start)
	}
	return found[0], nil
}

// listed is a line of models list.
type listed struct {
	registry.Published
	State string `json:"state"` // "live", "was live" or "published"
}

func (m *modelsDesk) list(ctx context.Context, _ []string) error {
	models, err := m.desk.Registry.Models(ctx)
	if err != nil {
		return err
	}
	history, err := m.desk.Registry.History(ctx)
	if err != nil {
		return err
	}
	state := map[string]string{}
	for i, l := range history {
		state[l.Model] = "was live"
		if i == len(history)-1 {
			state[l.Model] = "live"
		}
	}
	var lines []listed
	for _, model := range models {
		p, err := m.desk.Registry.Published(ctx, model)
		if errors.Is(err, registry.ErrNotFound) || errors.Is(err, registry.ErrBroken) {
			p, err = registry.Published{Model: model, Name: "?", Author: "?"}, nil
		}
		if err != nil {
			return err
		}
		line := listed{p, "published"}
		if s, ok := state[model]; ok {
			line.State = s
		}
		lines = append(lines, line)
	}
	slices.SortFunc(lines, func(a, b listed) int { return a.Time.Compare(b.Time) })
	return printAll(m, lines, "MODEL\tNAME\tUSE\tBY\tPUBLISHED\tSTATE", func(l listed) string {
		return strings.Join([]string{short(l.Model), l.Name, l.Use, l.Author, when(l.Time), l.State}, "\t")
	})
}

func (m *modelsDesk) show(ctx context.Context, args []string) error {
	model, err := m.find(ctx, args[0])
	if err != nil {
		return err
	}
	p, err := m.desk.Registry.Published(ctx, model)
	if err != nil {
		return err
	}
	verdict, err := m.desk.Check(ctx, model)
	if err != nil {
		return err
	}
	if m.json {
		return json.NewEncoder(m.env.stdout).Encode(struct {
			registry.Published
			Gate registry.Verdict `json:"gate"`
		}{p, verdict})
	}
	fmt.Fprintf(m.env.stdout, "model      %s\nname       %s\nuse        %s\npublished  %s by %s\n\n", p.Model, p.Name, p.Use, when(p.Time), p.Author)
	return release.PrintVerdict(m.env.stdout, verdict)
}

func (m *modelsDesk) live(ctx context.Context, _ []string) error {
	history, err := m.desk.Registry.History(ctx)
	if err != nil {
		return err
	}
	if len(history) == 0 {
		if m.json {
			return json.NewEncoder(m.env.stdout).Encode(registry.Live{Schema: 1, Model: registry.Packaged})
		}
		_, err := fmt.Fprintln(m.env.stdout, "Nothing was ever approved: the model that predict was deployed with is live.")
		return err
	}
	last := history[len(history)-1]
	if m.json {
		err = json.NewEncoder(m.env.stdout).Encode(last.Live)
	} else {
		err = printLive(m.env.stdout, last.Live)
	}
	return errors.Join(err, last.Err)
}

func (m *modelsDesk) history(ctx context.Context, _ []string) error {
	history, err := m.desk.Registry.History(ctx)
	if err != nil {
		return err
	}
	var broken error
	var lines []registry.Live
	for _, l := range history {
		lines = append(lines, l.Live)
		if l.Err != nil {
			broken = errors.Join(broken, fmt.Errorf("record %d: %w", l.N, l.Err))
		}
	}
	err = printAll(m, lines, "N\tLIVE FROM\tMODEL\tNAME\tUSE\tACTION\tBY\tWHY", func(l registry.Live) string {
		return strings.Join([]string{fmt.Sprint(l.N), when(l.Time), short(l.Model), l.Name, l.Use, string(l.Action), l.ApprovedBy, l.Why}, "\t")
	})
	return errors.Join(err, broken)
}

func (m *modelsDesk) approve(ctx context.Context, args []string) error {
	model, err := m.find(ctx, args[0])
	if err != nil {
		return err
	}
	live, err := m.desk.Approve(ctx, release.Approval{Model: model, By: m.by, Why: m.why, AllowResearch: m.allowResearch})
	var refused *release.RefusedError
	if errors.As(err, &refused) {
		if m.json {
			return errors.Join(json.NewEncoder(m.env.stdout).Encode(refused.Verdict), err)
		}
		return errors.Join(release.PrintVerdict(m.env.stdout, refused.Verdict), err)
	}
	if err != nil {
		return moved(err)
	}
	return m.printMove(live)
}

func (m *modelsDesk) rollback(ctx context.Context, args []string) error {
	model := ""
	if len(args) == 1 {
		var err error
		if model, err = m.find(ctx, args[0]); err != nil {
			return err
		}
	}
	live, err := m.desk.Rollback(ctx, model, m.by, m.why)
	if err != nil {
		return moved(err)
	}
	return m.printMove(live)
}

// moved says what to do where two moved the pointer at once.
func moved(err error) error {
	if errors.Is(err, registry.ErrMoved) {
		return fmt.Errorf("%w: look with `agequote models live` and run this again", err)
	}
	return err
}

func (m *modelsDesk) printMove(l registry.Live) error {
	if m.json {
		return json.NewEncoder(m.env.stdout).Encode(l)
	}
	if l.Gate != nil {
		if err := release.PrintVerdict(m.env.stdout, *l.Gate); err != nil {
			return err
		}
		fmt.Fprintln(m.env.stdout)
	}
	return printLive(m.env.stdout, l)
}

func printLive(w io.Writer, l registry.Live) error {
	_, err := fmt.Fprintf(w, "live       %s\nname       %s\nuse        %s\nrecord     %d, %s by %s, %s\nwhy        %s\n",
		l.Model, dash(l.Name), dash(l.Use), l.N, l.Action, l.ApprovedBy, when(l.Time), l.Why)
	return err
}

// printAll writes lines as a table, or as JSON.
func printAll[T any](m *modelsDesk, lines []T, header string, row func(T) string) error {
	if m.json {
		encoder := json.NewEncoder(m.env.stdout)
		for _, l := range lines {
			if err := encoder.Encode(l); err != nil {
				return fmt.Errorf("print models: %w", err)
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(m.env.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, header)
	for _, l := range lines {
		fmt.Fprintln(t, row(l))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print models: %w", err)
	}
	return nil
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
