// Command training is the batch job that makes model packages. So far it
// prepares labels and exports a package: the network with the outputs that may
// be used, its interval calibrated through the whole serving path, figures and
// model card. Training itself comes with the recipes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
)

const usage = `training makes model packages from photos of people whose age is known.

Usage:
  go run ./training prepare --recipe FILE --images DIR --out DIR
  go run ./training prepare --labels FILE.tsv --images DIR --out DIR
  go run ./training publish --package DIR --bucket NAME --author NAME
  go run ./training export --network FILE --detector FILE --labels FILE --images DIR --out DIR
  go run ./training evaluate --package DIR --labels FILE --images DIR --out DIR
  go run ./training calibrate --readings FILE [--package DIR --labels FILE --images DIR]
  go run ./training speed [--python PYTHON]
  go run ./training submit --stack NAME --recipe NAME
  go run ./training push --from DIR --to s3://BUCKET/PREFIX
  go run ./training pull --from s3://BUCKET/PREFIX --to DIR

Each command has -h.
`

// errUsage marks a wrong call, which ends with status 2.
var errUsage = errors.New("wrong use")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "training:", err)
	if errors.Is(err, errUsage) {
		os.Exit(2)
	}
	os.Exit(1)
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
	case "calibrate":
		return calibrate(ctx, args[1:], stdout, stderr)
	case "evaluate":
		return evaluate(ctx, args[1:], stdout, stderr)
	case "export":
		return export(ctx, args[1:], stdout, stderr)
	case "publish":
		return publish(ctx, args[1:], stdout, stderr)
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
