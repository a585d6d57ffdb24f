package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/letter"
	"github.com/agequote/agequote/internal/store"
)

func letterCommand() *command {
	return &command{
		name:    "letter",
		summary: "writes the decision on a case to the customer",
		usage: `Prints the letter of a case's newest quote: the decision, the premium where there
is one, at most four principal reasons, and the right to a person. Every figure
in it is in the stored quote.

  agequote letter CASE --cases build/demo
  agequote letter CASE --cases my-bucket --quote photo-0001
`,
		flags: func(fs *flag.FlagSet) func(context.Context, *env, []string) error {
			var from casesFlag
			from.register(fs)
			cause := fs.String("quote", "", "`CAUSE` of the quote, as photo-0001 (default: the newest)")
			language := fs.String("language", "en", "`LANGUAGE` of the letter: "+strings.Join(letter.Languages(), ", "))
			return func(ctx context.Context, e *env, args []string) error {
				if len(args) != 1 || !casefile.ValidID(args[0]) {
					return usagef("letter: name one case")
				}
				if _, _, ok := casefile.ParseCause(*cause); *cause != "" && !ok {
					return usagef("letter: --quote is a cause such as photo-0001")
				}
				if err := from.fill(ctx, e); err != nil {
					return err
				}
				stored, err := openBucket(ctx, from.cases, "cases")
				if err != nil {
					return err
				}
				q, err := findQuote(ctx, stored, args[0], *cause)
				if errors.Is(err, store.ErrNotFound) {
					return fmt.Errorf("case %s: no such quote in %s", args[0], from.cases)
				}
				if err != nil {
					return err
				}
				text, err := letter.Write(&q, *language)
				if errors.Is(err, letter.ErrLanguage) {
					return usagef("letter: --language: %v", err)
				}
				if err != nil {
					return err
				}
				_, err = io.WriteString(e.stdout, text)
				return err
			}
		},
	}
}

// findQuote reads the quote that the cause made, or without one the newest:
// store.ErrNotFound.
func findQuote(ctx context.Context, s bucket, id, cause string) (casefile.Quote, error) {
	if cause != "" {
		q, err := cases.Read[casefile.Quote](ctx, s, casefile.QuoteKey(id, cause))
		if err != nil {
			return casefile.Quote{}, fmt.Errorf("read quote: %w", err)
		}
		return q.Object, nil
	}
	keys, err := s.List(ctx, casefile.QuotesPrefix(id))
	if err != nil {
		return casefile.Quote{}, fmt.Errorf("list quotes: %w", err)
	}
	var newest casefile.Quote
	found := false
	for _, key := range keys {
		q, err := cases.Read[casefile.Quote](ctx, s, key)
		if err != nil {
			return casefile.Quote{}, fmt.Errorf("read quote: %w", err)
		}
		if !found || q.Object.Time.After(newest.Time) {
			newest, found = q.Object, true
		}
	}
	if !found {
		return casefile.Quote{}, store.ErrNotFound
	}
	return newest, nil
}
