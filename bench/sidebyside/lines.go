package main

import (
	"archive/zip"
	"bufio"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/agequote/agequote/bench/report"
)

// lines is a process that answers a photo's path on stdin with a line of JSON
// that has the age, after a line that says it is ready; or, with once, a
// command that takes the path as its last argument, answers and ends.
type lines struct {
	command []string
	dir     string
	once    bool

	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	peak    int64
}

func command(ctx context.Context, dir, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Stderr = dir, os.Stderr
	return c.Run()
}

func (l *lines) Start(ctx context.Context) error {
	if l.once {
		return nil
	}
	l.process = exec.CommandContext(ctx, l.command[0], l.command[1:]...)
	l.process.Dir, l.process.Stderr = l.dir, os.Stderr
	in, err := l.process.StdinPipe()
	if err != nil {
		return err
	}
	out, err := l.process.StdoutPipe()
	if err != nil {
		return err
	}
	l.in, l.out = in, bufio.NewReader(out)
	if err := l.process.Start(); err != nil {
		return err
	}
	_, err = l.out.ReadString('\n')
	return err
}

func (l *lines) Prepare(context.Context, report.Photo) error { return nil }

func (l *lines) Answer(ctx context.Context, p report.Photo) error {
	var answer string
	if l.once {
		c := exec.CommandContext(ctx, l.command[0], append(l.command[1:], p.Path)...)
		c.Stderr = os.Stderr
		b, err := c.Output()
		if err != nil {
			return err
		}
		l.peak = max(l.peak, report.MaxResident(c.ProcessState))
		answer = string(b)
	} else {
		if _, err := fmt.Fprintln(l.in, p.Path); err != nil {
			return err
		}
		var err error
		if answer, err = l.out.ReadString('\n'); err != nil {
			return err
		}
	}
	var line struct{ Age *float64 }
	if err := json.Unmarshal([]byte(answer), &line); err != nil {
		return err
	}
	if line.Age == nil {
		return errors.New("no age in the answer")
	}
	return nil
}

func (l *lines) Processor() (float64, bool) {
	if l.once {
		return 0, false
	}
	return processorMS(l.process.Process.Pid)
}

func (l *lines) Peak() int64 {
	if !l.once {
		l.peak = max(l.peak, peakMemory(l.process.Process.Pid))
	}
	return l.peak
}

func (l *lines) Stop() error {
	if l.once {
		return nil
	}
	err := l.in.Close()
	return errors.Join(err, l.process.Wait())
}

// processorMS sums the processor time of a process's threads, in milliseconds,
// as Linux counts it in nanoseconds.
func processorMS(pid int) (float64, bool) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	var sum float64
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if err != nil {
			continue
		}
		first, _, _ := strings.Cut(string(b), " ")
		ns, err := strconv.ParseFloat(first, 64)
		if err != nil {
			return 0, false
		}
		sum += ns / 1e6
	}
	return sum, len(tasks) > 0
}

// peakMemory is the most memory in bytes that a process has had, as Linux says.
func peakMemory(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10
		}
	}
	return 0
}

type size struct{ unzipped, zipped int64 }

type counter struct{ n int64 }

func (c *counter) Write(b []byte) (int, error) { c.n += int64(len(b)); return len(b), nil }

// sizeOf returns a function that measures files and folders, zipped as Lambda
// takes them, less what begins with one of leftOut in the first folder.
func sizeOf(leftOut []string, paths ...string) func() (size, error) {
	return func() (size, error) {
		var s size
		var zipped counter
		w := zip.NewWriter(&zipped)
		w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, 5) })
		for _, root := range paths {
			if root == "" {
				return s, errors.New("no site-packages")
			}
			err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				name, _ := filepath.Rel(root, path)
				for _, prefix := range leftOut {
					if strings.HasPrefix(name, prefix) || filepath.Base(name) == "__pycache__" {
						if d.IsDir() {
							return fs.SkipDir
						}
						return nil
					}
				}
				if !d.Type().IsRegular() {
					return nil
				}
				return add(w, path, &s)
			})
			if err != nil {
				return s, err
			}
		}
		if err := w.Close(); err != nil {
			return s, err
		}
		s.zipped = zipped.n
		return s, nil
	}
}

func add(w *zip.Writer, path string, s *size) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out, err := w.Create(strings.TrimPrefix(path, "/"))
	if err != nil {
		return err
	}
	n, err := io.Copy(out, f)
	s.unzipped += n
	return err
}
