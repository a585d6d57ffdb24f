package release

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/agequote/agequote/internal/registry"
)

// PrintVerdict writes a line for each check: what, value, limit, sentence.
func PrintVerdict(w io.Writer, v registry.Verdict) error {
	var text strings.Builder
	against := "the gate's absolute limits: no model of the registry is live"
	if v.Against != "" {
		against = "the live model " + v.Against
	}
	fmt.Fprintf(&text, "Judged against %s.\n\n", against)
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, f := range v.Findings {
		outcome := "passes"
		if !f.OK {
			outcome = "REFUSED"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", outcome, f.Check, number(f.Value), number(f.Limit), f.Sentence)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print findings: %w", err)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func number(v *float64) string {
	if v == nil {
		return "-"
	}
	return strconv.FormatFloat(*v, 'g', 4, 64)
}
