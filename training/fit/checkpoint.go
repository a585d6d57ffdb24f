package fit

import (
	"bufio"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/gomlx/gomlx/pkg/core/tensors"
	"github.com/gomlx/gomlx/pkg/ml/context"
)

// state is where a run stands, besides its variables.
type state struct {
	Schema  int     `json:"schema"`
	Recipe  string  `json:"recipe"` // hash of the recipe and the data: another run's checkpoint is not taken up
	Stage   int     `json:"stage"`
	Step    int     `json:"step"`    // steps done in the stage
	Momenta float64 `json:"momenta"` // product of the momenta in the stage
	Metrics int64   `json:"metrics"` // length of the metrics file in bytes
	Best    *Scores `json:"best"`
	Loss    float64 `json:"loss"` // running mean
}

// Files of a checkpoint.
const (
	stateFile     = "state.json"
	variablesFile = "variables.gob"
	checkpointDir = "current"
)

// save writes a checkpoint into dir. It is whole or not there: the new folder is
// renamed into place, and the one before is kept until then. (GoMLX's own
// checkpoints write two files in place, which a kill can tear.)
func save(dir string, ctx *context.Context, s state) error {
	tmp := filepath.Join(dir, "next")
	if err := errors.Join(os.RemoveAll(tmp), os.MkdirAll(tmp, 0o755)); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	if err := writeVariables(filepath.Join(tmp, variablesFile), ctx, func(v *context.Variable) bool { return v.Name() != scheduleName }); err != nil {
		return err
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	if err := os.WriteFile(filepath.Join(tmp, stateFile), b, 0o644); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	current, old := filepath.Join(dir, checkpointDir), filepath.Join(dir, "previous")
	// After a kill between the renames, old is all there is.
	if _, err := os.Stat(current); err == nil {
		if err := os.RemoveAll(old); err != nil {
			return fmt.Errorf("save checkpoint: %w", err)
		}
		if err := os.Rename(current, old); err != nil {
			return fmt.Errorf("save checkpoint: %w", err)
		}
	}
	if err := os.Rename(tmp, current); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	return nil
}

// resume reads the checkpoint in dir, or the one before where a kill fell
// between the two renames. Without any it returns os.ErrNotExist.
func resume(dir string, ctx *context.Context) (state, error) {
	var s state
	for _, name := range []string{checkpointDir, "previous"} {
		folder := filepath.Join(dir, name)
		b, err := os.ReadFile(filepath.Join(folder, stateFile))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return s, fmt.Errorf("read checkpoint: %w", err)
		}
		if err := json.Unmarshal(b, &s); err != nil {
			return s, fmt.Errorf("read checkpoint: %w", err)
		}
		return s, readVariables(filepath.Join(folder, variablesFile), ctx)
	}
	return s, os.ErrNotExist
}

// entry precedes each tensor in a file of variables.
type entry struct {
	Scope, Name string
	Trainable   bool
}

// writeVariables stores the chosen variables, in order of their names.
func writeVariables(path string, ctx *context.Context, keep func(*context.Variable) bool) error {
	var vars []*context.Variable
	for v := range ctx.IterVariables() {
		if keep(v) {
			vars = append(vars, v)
		}
	}
	slices.SortFunc(vars, func(a, b *context.Variable) int {
		if a.ScopeAndName() < b.ScopeAndName() {
			return -1
		}
		return 1
	})
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write variables: %w", err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	enc := gob.NewEncoder(w)
	if err := enc.Encode(len(vars)); err != nil {
		return fmt.Errorf("write variables: %w", err)
	}
	for _, v := range vars {
		t, err := v.Value()
		if err != nil {
			return fmt.Errorf("read variable: %w", err)
		}
		if err := errors.Join(enc.Encode(entry{v.Scope(), v.Name(), v.Trainable}), t.GobSerialize(enc)); err != nil {
			return fmt.Errorf("write variables: %w", err)
		}
	}
	if err := errors.Join(w.Flush(), f.Sync()); err != nil {
		return fmt.Errorf("write variables: %w", err)
	}
	return nil
}

// readVariables sets the variables that a file holds.
func readVariables(path string, ctx *context.Context) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read variables: %w", err)
	}
	defer f.Close()
	dec := gob.NewDecoder(bufio.NewReaderSize(f, 1<<20))
	var n int
	if err := dec.Decode(&n); err != nil {
		return fmt.Errorf("read variables: %w", err)
	}
	for range n {
		var e entry
		if err := dec.Decode(&e); err != nil {
			return fmt.Errorf("read variables: %w", err)
		}
		t, err := tensors.GobDeserialize(dec)
		if err != nil {
			return fmt.Errorf("read variables: %w", err)
		}
		if e.Name == scheduleName {
			continue // set anew at each step
		}
		c := ctx.InAbsPath(e.Scope).Checked(false)
		v := c.GetVariable(e.Name)
		if v == nil {
			v = c.VariableWithValue(e.Name, t)
		} else if err := v.SetValue(t); err != nil {
			return fmt.Errorf("set variable: %w", err)
		}
		v.SetTrainable(e.Trainable)
	}
	return nil
}
