// Command duplicates measures how well duplicates of photos are found by
// perceptual hash, and how often different photos are taken for one: on the
// photos of UTKFace that are there twice, on copies that it makes, and on all
// pairs of different photos. It chooses the threshold on one half of the photos
// and reports on the other. It is for research: functions do not import it.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"text/template"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "duplicates:", err)
		os.Exit(1)
	}
}

//go:embed duplicates.md.tmpl
var page string

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("duplicates", flag.ContinueOnError)
	flags.SetOutput(stderr)
	faces := flags.String("faces", "../shared/faces", "`folder` with folds.tsv, utkface/ and fgnet/")
	selfies := flags.String("selfies", "events/selfies", "`folder` of whole photos")
	copies := flags.Int("copies", 500, "make copies of so many photos of each half")
	near := flags.String("near", "", "write the nearest pairs of different groups, as TSV, to `FILE`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	started := time.Now()
	s := &study{faces: *faces, selfies: *selfies, copies: *copies, log: stderr}
	if err := s.run(ctx); err != nil {
		return err
	}
	if *near != "" {
		if err := s.writeNear(*near); err != nil {
			return err
		}
	}
	t, err := template.New("page").Parse(page)
	if err != nil {
		return err
	}
	s.Out.Machine = fmt.Sprintf("%s/%s, %d processors, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	s.Out.Took = time.Since(started).Round(time.Second).String()
	return t.Execute(stdout, s.Out)
}
