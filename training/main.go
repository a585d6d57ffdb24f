// Command training is the batch job that makes model packages: it prepares
// labels, trains what a recipe says, evaluates, and exports a package: the
// network, its interval calibrated through the whole serving path, figures and
// model card.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `training makes model packages from photos of people whose age is known.

Usage:
  go run ./training prepare  --recipe FILE --images DIR --out DIR
  go run ./training prepare  --labels FILE.tsv --images DIR --out DIR
  go run ./training lr-find  --recipe FILE [--images DIR]
  go run ./training fit      --recipe FILE [--images DIR] [--checkpoint s3://BUCKET/PREFIX]
  go run ./training export   --recipe FILE [--images DIR]
  go run ./training evaluate --package DIR --labels FILE --images DIR --out DIR
  go run ./training publish  --package DIR --bucket NAME --author NAME

  go run ./training calibrate --readings FILE [--package DIR --labels FILE --images DIR]
  go run ./training crosscheck --readings FILE --package DIR --out DIR [--docs FILE.md]
  go run ./training ablation  --rows FILE --prepared DIR --cache DIR --out DIR [--images DIR]
  go run ./training speed     [--python PYTHON]
  go run ./training applicants --recipe FILE --images DIR --out DIR
  go run ./training similar   PHOTO --images DIR --labels FILE

  go run ./training submit --stack NAME --recipe NAME
  go run ./training push   --from DIR --to s3://BUCKET/PREFIX
  go run ./training pull   --from s3://BUCKET/PREFIX --to DIR

Each command has -h.
`

// errUsage marks a wrong call, which ends with status 2.
var errUsage = errors.New("wrong use")

func main() {
	ctx := stoppable()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "training:", err)
	os.Exit(status(ctx, err))
}

// stopped is the cause of a context that a signal ended.
type stopped struct{ signal syscall.Signal }

func (s stopped) Error() string { return "stopped by signal: " + s.signal.String() }

// stoppable is a context that ends by SIGINT and by SIGTERM, which is how AWS
// takes a spot instance back. A second signal ends the process at once.
func stoppable() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-signals
		signal.Stop(signals)
		if number, ok := s.(syscall.Signal); ok {
			cancel(stopped{number})
			return
		}
		cancel(errors.New("stopped by " + s.String()))
	}()
	return ctx
}

// status is the exit status for an error: 128 and the signal's number, as shells
// have it, for what a signal ended. infra/training.yaml tries again after 143.
func status(ctx context.Context, err error) int {
	var s stopped
	switch {
	case errors.As(context.Cause(ctx), &s):
		return 128 + int(s.signal)
	case errors.Is(err, errUsage):
		return 2
	}
	return 1
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return errUsage
	}
	switch args[0] {
	case "prepare":
		return prepare(ctx, args[1:], stdout, stderr)
	case "lr-find":
		return lrFind(ctx, args[1:], stdout, stderr)
	case "fit":
		return fitCommand(ctx, args[1:], stdout, stderr)
	case "ablation":
		return ablation(ctx, args[1:], stdout, stderr)
	case "crosscheck":
		return crosscheckCommand(ctx, args[1:], stdout, stderr)
	case "calibrate":
		return calibrate(ctx, args[1:], stdout, stderr)
	case "evaluate":
		return evaluate(ctx, args[1:], stdout, stderr)
	case "export":
		return export(ctx, args[1:], stdout, stderr)
	case "publish":
		return publish(ctx, args[1:], stdout, stderr)
	case "applicants":
		return applicants(ctx, args[1:], stdout, stderr)
	case "similar":
		return similarFaces(ctx, args[1:], stdout, stderr)
	case "speed":
		return speed(ctx, args[1:], stdout, stderr)
	case "submit":
		return submit(ctx, args[1:], stdout, stderr)
	case "push":
		return push(ctx, args[1:], stdout, stderr)
	case "pull":
		return pull(ctx, args[1:], stdout, stderr)
	case "-h", "--help", "help":
		fmt.Fprint(stdout, usage)
		return nil
	}
	return fmt.Errorf("%w: no command %q; see -h", errUsage, args[0])
}
