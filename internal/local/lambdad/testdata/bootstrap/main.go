// Command bootstrap is the function that the tests of package lambdad run. Its
// event says what to do.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do   string // see handle
	File string // gets a line with Note for each try
	Note string
	Fail int // the first so many tries fail in the way of Do, the rest succeed
	MB   int
}

type answer struct {
	Note        string
	RequestID   string
	ARN         string
	PID         int
	Child       int
	SecondsLeft int // until the deadline, rounded up
	Dir         string
	Environment []string
}

func main() {
	if os.Getenv("INIT") == "exit" {
		fmt.Fprintln(os.Stderr, "cannot begin")
		os.Exit(3)
	}
	lambda.Start(handle)
}

func handle(ctx context.Context, e event) (answer, error) {
	a := answer{Note: e.Note, PID: os.Getpid()}
	if tries, err := note(e); err != nil || (e.Fail > 0 && tries > e.Fail) {
		return a, err
	}
	switch e.Do {
	case "error":
		return a, errors.New("asked to fail")
	case "panic":
		panic("asked to panic")
	case "exit":
		os.Exit(7)
	case "sleep":
		fmt.Println(os.Getpid())
		time.Sleep(time.Hour)
	case "allocate":
		block := make([]byte, e.MB<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
	case "child":
		child := exec.Command("sleep", "3600")
		if err := child.Start(); err != nil {
			return a, err
		}
		a.Child = child.Process.Pid
	case "describe":
		deadline, _ := ctx.Deadline()
		a.SecondsLeft = int(time.Until(deadline)/time.Second) + 1
		lc, _ := lambdacontext.FromContext(ctx)
		a.RequestID, a.ARN = lc.AwsRequestID, lc.InvokedFunctionArn
		a.Dir, _ = os.Getwd()
		a.Environment = os.Environ()
		slices.Sort(a.Environment)
		fmt.Println("one line")
		fmt.Fprint(os.Stderr, "and half a line")
	}
	return a, nil
}

// note appends the event's note to its file and returns how many lines the
// file then has.
func note(e event) (int, error) {
	if e.File == "" {
		return 0, nil
	}
	f, err := os.OpenFile(e.File, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintln(f, e.Note); err != nil {
		return 0, err
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	lines, err := os.ReadFile(e.File)
	return strings.Count(string(lines), "\n"), err
}
