// Command hostile has pictures that were built to hurt read as predict reads a
// photo, each in a process of its own, and writes what came of them into
// docs/benchmarks.md: answer, time, memory. `make bench-hostile` runs it.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strings"
	"time"

	"github.com/agequote/agequote/bench/report"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/face/hostile"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/reason"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(1)
	}
}

// outcome is what came of a picture.
type outcome struct {
	Code reason.Code `json:"code"` // empty: an estimate
	MS   float64     `json:"ms"`
	Heap uint64      `json:"heap_bytes"` // the most at once, beyond what was there before
	peak int64       // resident in the process, in bytes; 0 where the system does not tell
	size int         // of the file, in bytes
}

func run(args []string, stdin io.Reader, stdout io.Writer) error {
	fs := flag.NewFlagSet("hostile", flag.ContinueOnError)
	root := fs.String("root", ".", "`DIR` of the project")
	only := fs.String("only", "", "take pictures alone whose name holds this `TEXT`, and write no table")
	turns := fs.Int("turns", 3, "turns for each picture")
	child := fs.Bool("child", false, "read the picture from standard input and print what came of it")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *child {
		return readOne(*root, stdin, stdout)
	}

	portrait, err := os.ReadFile(filepath.Join(*root, "events", "selfies", "grace_hopper.jpg"))
	if err != nil {
		return err
	}
	var rows strings.Builder
	for _, p := range append([]hostile.Picture{{Name: "an honest selfie, for comparison", Make: func() []byte { return portrait }}},
		hostile.Pictures(face.DefaultLimits, portrait)...) {
		if !strings.Contains(p.Name, *only) {
			continue
		}
		o, err := measure(*root, p.Make(), *turns)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		row := o.row(p.Name)
		fmt.Fprint(stdout, row)
		rows.WriteString(row)
	}
	if *only == "" {
		o, places, err := cutShort(*root, portrait)
		if err != nil {
			return err
		}
		row := o.row(fmt.Sprintf("an honest selfie cut at %d places, the slowest", places))
		fmt.Fprint(stdout, row)
		rows.WriteString(row)
	}
	if *only != "" {
		return nil
	}
	head := fmt.Sprintf("%s, each in a process of its own: the least time of %d, and the median memory.\n\n| picture | KB | answer | ms | Go heap, MB | process, MB |\n|---|---|---|---|---|---|\n", report.Machine(), *turns)
	return report.Replace(filepath.Join(*root, "docs", "benchmarks.md"), "hostile", head+rows.String())
}

func (o outcome) row(name string) string {
	answer := string(o.Code)
	if answer == "" {
		answer = "an estimate"
	} else {
		answer = "`" + answer + "`"
	}
	return fmt.Sprintf("| %s | %d | %s | %.0f | %d | %d |\n", name, o.size>>10, answer, o.MS, o.Heap>>20, o.peak>>20)
}

// measure has a picture read in fresh processes.
func measure(root string, picture []byte, turns int) (outcome, error) {
	var o outcome
	var ms, heap, peak []float64
	for range turns {
		cmd := exec.Command(os.Args[0], "-child", "-root", root)
		cmd.Stdin = bytes.NewReader(picture)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return o, err
		}
		if err := json.Unmarshal(out, &o); err != nil {
			return o, err
		}
		ms, heap, peak = append(ms, o.MS), append(heap, float64(o.Heap)), append(peak, float64(report.MaxResident(cmd.ProcessState)))
	}
	o.MS, o.Heap, o.peak, o.size = slices.Min(ms), uint64(report.Median(heap)), int64(report.Median(peak)), len(picture)
	return o, nil
}

// cutShort cuts a picture at many places and returns the slowest outcome of them.
func cutShort(root string, picture []byte) (slowest outcome, places int, err error) {
	const step = 1 << 12
	for n := 1; n < len(picture); n += step {
		o, err := measure(root, picture[:n], 3)
		if err != nil {
			return o, 0, err
		}
		if o.Code == "" || o.Code == reason.Internal {
			return o, 0, fmt.Errorf("cut at byte %d: answer %q", n, o.Code)
		}
		if o.MS > slowest.MS {
			slowest = o
		}
		places++
	}
	return slowest, places, nil
}

// readOne reads one picture as predict does.
func readOne(root string, stdin io.Reader, stdout io.Writer) error {
	m, err := model.Load("", filepath.Join(root, "models"), model.Options{AllowResearch: true})
	if err != nil {
		return err
	}
	picture, err := io.ReadAll(stdin)
	if err != nil {
		return err
	}

	stop := make(chan struct{})
	peak := watchHeap(stop)
	began := time.Now()
	_, _, err = m.Look(picture)
	o := outcome{MS: float64(time.Since(began).Microseconds()) / 1e3}
	close(stop)
	o.Heap = <-peak
	var refusal *reason.Error
	if errors.As(err, &refusal) {
		o.Code = refusal.Code
	} else if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(o)
}

// watchHeap answers, once stop is closed, by how much the heap grew at most.
func watchHeap(stop <-chan struct{}) <-chan uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	before := read()
	answer := make(chan uint64, 1)
	go func() {
		most := before
		for {
			most = max(most, read())
			select {
			case <-stop:
				answer <- max(most, read()) - before
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return answer
}
