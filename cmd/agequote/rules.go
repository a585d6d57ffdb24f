package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/rules"
)

func rulesCommand() *command {
	return &command{
		name:    "rules",
		summary: "shows, checks and approves the rule book",
		usage: `Products, classes, build charts, questions and the list of mortality tables are
files in rules/. A program takes them only where rules/history.jsonl records the
bytes of each as approved, by somebody other than its author. The history is
append-only: each line holds the hash of the line before it.

  agequote rules list                     the files, from when each counts, and whether it is approved
  agequote rules history                  what was approved when, by whom and why
  agequote rules verify                   checks every file, table and line of the history
  agequote rules approve FILE --by NAME   records a file as approved
  agequote rules doc                      prints docs/rules.md

list, history, verify and doc read the rules that are built in; approve those in
the folder rules. --rules reads another folder.

A version that is in force is not changed: a new version is a file of its own,
with a later effective_from. --correct approves a changed file all the same.
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			var r rulesDesk
			fs.StringVar(&r.folder, "rules", "", "`FOLDER` of the rule book")
			fs.StringVar(&r.by, "by", "", "`NAME` of who approves, as in the file")
			fs.BoolVar(&r.correct, "correct", false, "approve changed bytes of a version that is in force already")
			fs.BoolVar(&r.json, "json", false, "print JSON, one object a line")
			return func(_ context.Context, e *env, args []string) error {
				r.env = e
				return r.run(args)
			}
		},
	}
}

// rulesDesk is a call of the rules command.
type rulesDesk struct {
	env     *env
	folder  string
	by      string
	correct bool
	json    bool
}

func (r *rulesDesk) run(args []string) error {
	if len(args) == 0 {
		return usagef("rules: one of list, history, verify, approve and doc is needed; see `agequote rules -h`")
	}
	action, rest := args[0], args[1:]
	do, takes := r.list, 0
	switch action {
	case "list":
	case "history":
		do = r.history
	case "verify":
		do = r.verify
	case "approve":
		do, takes = r.approve, 1
	case "doc":
		do = r.doc
	default:
		return usagef("rules: no action %q; see `agequote rules -h`", action)
	}
	if len(rest) != takes {
		return usagef("rules %s: takes %d files, not %q", action, takes, rest)
	}
	if action == "approve" && r.by == "" {
		return usagef("rules approve: --by is needed")
	}
	return do(rest)
}

// files returns the rule book's folder: the built-in one unless another is named.
func (r *rulesDesk) files() fs.FS {
	if r.folder == "" {
		return rules.FS
	}
	return os.DirFS(r.folder)
}

// draft loads the book, approved or not, and the history beside it.
func (r *rulesDesk) draft() (*rulebook.Book, []rulebook.Record, error) {
	book, err := rulebook.LoadDraft(r.files())
	if err != nil {
		return nil, nil, fmt.Errorf("load rules: %w", err)
	}
	raw, err := fs.ReadFile(r.files(), rulebook.HistoryName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("read history: %w", err)
	}
	records, err := rulebook.ParseHistory(raw)
	return book, records, err
}

func (r *rulesDesk) list([]string) error {
	book, records, err := r.draft()
	if err != nil {
		return err
	}
	type line struct {
		rulebook.File
		State string
	}
	var lines []line
	for _, f := range book.Files() {
		state := "approved"
		if rulebook.Unapproved([]rulebook.File{f}, records) != nil {
			state = "not approved"
		}
		lines = append(lines, line{f, state})
	}
	if r.json {
		for _, l := range lines {
			if err := r.printJSON(map[string]string{"file": l.Name, "id": l.ID, "hash": l.Hash, "effective_from": l.EffectiveFrom,
				"author": l.Author, "approver": l.Approver, "reason": l.Reason, "state": l.State}); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(r.env.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FILE\tFROM\tSTATE\tAUTHOR\tREASON")
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", l.Name, l.EffectiveFrom, l.State, l.Author, l.Reason)
	}
	return w.Flush()
}

func (r *rulesDesk) history([]string) error {
	_, records, err := r.draft()
	if err != nil {
		return err
	}
	if r.json {
		for _, record := range records {
			if err := r.printJSON(record); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(r.env.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "APPROVED\tFILE\tHASH\tFROM\tAUTHOR\tAPPROVER\tREASON")
	for _, l := range records {
		fmt.Fprintf(w, "%s\t%s\t%.19s\t%s\t%s\t%s\t%s\n", l.Approved, l.File, l.Hash, l.EffectiveFrom, l.Author, l.Approver, l.Reason)
	}
	return w.Flush()
}

func (r *rulesDesk) verify([]string) error {
	book, err := rulebook.Load(r.files())
	if err != nil {
		return fmt.Errorf("load rules: %w", err)
	}
	if err := book.CheckTables(); err != nil {
		return fmt.Errorf("check mortality tables: %w", err)
	}
	fmt.Fprintf(r.env.stdout, "%d rule files, %d approvals, %d products in force at one time or another: all is well\n",
		len(book.Files()), len(book.History()), len(book.Versions()))
	return nil
}

// approve adds a line to history.jsonl. It is opened for appending, so that no
// line that stands can be lost.
func (r *rulesDesk) approve(args []string) error {
	if r.folder == "" {
		r.folder = "rules"
	}
	book, err := rulebook.LoadDraft(r.files())
	if err != nil {
		return fmt.Errorf("load rules: %w", err)
	}
	wanted := path.Clean(filepath.ToSlash(args[0]))
	for _, f := range book.Files() {
		if f.Name == wanted || path.Join(filepath.ToSlash(filepath.Clean(r.folder)), f.Name) == wanted {
			return r.append(f)
		}
	}
	return usagef("rules approve: %s is no rule file in %s; `agequote rules list` names them", args[0], r.folder)
}

func (r *rulesDesk) append(f rulebook.File) (err error) {
	name := filepath.Join(r.folder, rulebook.HistoryName)
	history, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read history: %w", err)
	}
	line, err := rulebook.Approve(history, f, r.by, r.env.now(), r.correct)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open history: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := out.Write(line); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	fmt.Fprint(r.env.stdout, strings.TrimSpace(string(line)), "\n")
	return nil
}

func (r *rulesDesk) doc([]string) error {
	book, err := rulebook.LoadDraft(r.files())
	if err != nil {
		return fmt.Errorf("load rules: %w", err)
	}
	return book.WriteDoc(r.env.stdout)
}

func (r *rulesDesk) printJSON(v any) error {
	e := json.NewEncoder(r.env.stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
