package review

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/agequote/agequote/internal/agreement"
	"github.com/agequote/agequote/internal/audit"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/digest"
)

// looksPrefix is the folder of the second looks' outcomes: empty objects whose
// names tell the two answers, and not of which case, so that nothing of them is
// personal and counting them is listing them.
const looksPrefix = "second-looks/"

// answerOf puts an outcome in one word: the terms of a quote, or what else was
// decided. Kappa is taken over these. The first answer of a sampled case is
// always a quote, so that over accept and not accept alone there would be
// nothing to agree on by chance; class and rating are what the rules vary.
func answerOf(action casefile.Action, t casefile.Terms) string {
	switch action {
	case casefile.Accept, casefile.Change:
		out := t.Class
		if t.Rating != "" {
			out += " " + t.Rating
		}
		return out
	case casefile.Postpone, casefile.Decline:
		return string(action)
	}
	return "ask"
}

// recordLook writes down the two answers of a second look.
func (h *Handler) recordLook(ctx context.Context, d cases.Stored[casefile.Decision]) error {
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	first, second := answerOf(casefile.Accept, d.Object.Before), answerOf(d.Object.Suggested, d.Object.After)
	hash := strings.TrimPrefix(digest.Of([]byte("second look "+d.Hash)), "sha256:")
	return cases.Mark(ctx, h.Cases, []string{looksPrefix + encode(first) + "/" + encode(second) + "/" + hash})
}

// agreement tells how far second looks agree with the rules.
func (h *Handler) agreement(ctx context.Context, _ *request) (answer, error) {
	keys, err := h.Cases.List(ctx, looksPrefix)
	if err != nil {
		return answer{}, fmt.Errorf("list second looks: %w", err)
	}
	var pairs []agreement.Pair
	for _, key := range keys {
		parts := strings.Split(strings.TrimPrefix(key, looksPrefix), "/")
		if len(parts) != 3 {
			continue
		}
		first, err1 := base64.RawURLEncoding.DecodeString(parts[0])
		second, err2 := base64.RawURLEncoding.DecodeString(parts[1])
		if err1 == nil && err2 == nil {
			pairs = append(pairs, agreement.Pair{First: string(first), Second: string(second)})
		}
	}
	return answer{Status: http.StatusOK, Body: agreement.Of(pairs)}, nil
}

// audit verifies the chain of a case. An erased one can be verified too: what
// stays of it has no personal data. Whoever may decide a case is not shown, until
// it is decided, whether its customer asked for a person: that is how a blind
// sample looks, and only a real request has an object.
func (h *Handler) audit(ctx context.Context, r *request) (answer, error) {
	report, err := audit.Verify(ctx, h.Cases, h.Heads, r.id)
	if err != nil {
		return answer{}, noCase(err)
	}
	if r.who.Role.May(Decide) {
		report.Lines = blind(r.id, report.Lines)
	}
	return answer{Status: http.StatusOK, Body: report}, nil
}

// blind leaves out the sound requests of a case that is not decided.
func blind(id string, lines []audit.Line) []audit.Line {
	under := func(folder string) func(audit.Line) bool {
		return func(l audit.Line) bool { return strings.HasPrefix(l.Object, casefile.Prefix(id)+folder) }
	}
	if slices.ContainsFunc(lines, under("decisions/")) {
		return lines
	}
	request := under("requests/")
	return slices.DeleteFunc(lines, func(l audit.Line) bool { return l.OK && request(l) })
}
