package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/reason"
)

func estimateCommand() *command {
	return &command{
		name:    "estimate",
		summary: "reads the age on photos",
		usage: `Reads each photo as the Lambda function does and prints an age with its
interval, or the code of a refusal and what to do about it. A photo that cannot
be opened does not stop the others; it makes the exit status 1.

  agequote estimate events/selfies/astronaut.png
  agequote estimate --json *.jpg          one JSON line a photo
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			var m modelFlags
			m.register(fs)
			asJSON := fs.Bool("json", false, "print one JSON line a photo")
			return func(ctx context.Context, e *env, photos []string) error {
				if len(photos) == 0 {
					return usagef("estimate: name at least one photo")
				}
				return estimatePhotos(ctx, e, &m, photos, *asJSON)
			}
		},
	}
}

// estimateLine is the JSON line of one photo.
type estimateLine struct {
	Schema   int         `json:"schema"`
	File     string      `json:"file"`
	Age      *float64    `json:"age"`
	Low      *float64    `json:"low"`
	High     *float64    `json:"high"`
	Coverage *float64    `json:"coverage"`
	Code     reason.Code `json:"code"`
	Message  string      `json:"message"`
	Model    string      `json:"model"`
	MS       float64     `json:"ms"`
}

func estimatePhotos(ctx context.Context, e *env, flags *modelFlags, photos []string, asJSON bool) error {
	m, err := flags.open()
	if err != nil {
		return err
	}
	defer m.Close()

	unread := 0
	for _, file := range photos {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, err := estimateFile(m, file)
		if err != nil {
			fmt.Fprintf(e.stderr, "agequote: %s: %v\n", printable(file), err)
		}
		if line.Code == reason.Internal {
			unread++
		}
		if asJSON {
			err = json.NewEncoder(e.stdout).Encode(line)
		} else {
			err = line.print(e.stdout)
		}
		if err != nil {
			return fmt.Errorf("print estimate: %w", err)
		}
	}
	if unread > 0 {
		return fmt.Errorf("%d of %d photos could not be processed", unread, len(photos))
	}
	return nil
}

// estimateFile estimates one file. The error is for the person at the terminal,
// who may see what a customer may not.
func estimateFile(m *model.Model, file string) (estimateLine, error) {
	line := estimateLine{Schema: 1, File: file, Model: m.Hash()}
	photo, err := readPhoto(file)
	if err == nil {
		started := time.Now()
		estimate, estimateErr := m.Estimate(photo)
		line.MS = float64(time.Since(started).Microseconds()) / 1000
		line.Age, line.Low, line.High, line.Coverage = estimate.Age, estimate.Low, estimate.High, estimate.Coverage
		err = estimateErr
	}
	line.Code = reason.Of(err)
	line.Message = line.Code.Sentence()
	if line.Code != reason.Internal {
		return line, nil
	}
	return line, err
}

// readPhoto reads at most a byte more than is ever decoded.
func readPhoto(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			return nil, p.Err
		}
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(face.DefaultLimits.Bytes)+1))
}

// printable is a file's name for a terminal: a name can hold a line that looks
// like one of ours, or what moves the cursor.
func printable(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}

func (l estimateLine) print(w io.Writer) error {
	if l.Code != reason.OK {
		_, err := fmt.Fprintf(w, "%s: %s: %s\n", printable(l.File), l.Code, l.Message)
		return err
	}
	_, err := fmt.Fprintf(w, "%s: %.1f years, with %.0f%% coverage %.1f to %.1f (%.0f ms)\n",
		printable(l.File), *l.Age, *l.Coverage*100, *l.Low, *l.High, l.MS)
	return err
}
