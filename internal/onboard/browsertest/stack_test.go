package browsertest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/agequote/agequote/internal/browser"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/s3store"
)

// site is the page on a running stack, with a look behind it.
type site struct {
	*browser.Browser
	address string // of the page, without a slash at the end
	uploads string // origin of the uploads bucket
	cases   *s3store.Bucket
	photos  *s3store.Bucket
}

// tab is one customer's.
type tab struct{ *browser.Tab }

// startSite starts the stack, and a browser whose camera shows a picture.
func startSite(t *testing.T, root string, camera []byte) *site {
	t.Helper()
	// The browser first: where there is none, nothing else is started.
	b := browser.Start(t, root, camera)
	stack := browser.StartStack(t, root, t.TempDir())
	s := &site{Browser: b, address: stack.APIEndpoint("OnboardApi"), uploads: stack.S3Endpoint(), cases: stack.Cases, photos: stack.Photos}
	s.Origins = []string{s.address, s.uploads}
	return s
}

func (s *site) open(t *testing.T, address string) *tab {
	t.Helper()
	return &tab{s.Open(t, address)}
}

func value[T any](tb *tab, expression string, options ...chromedp.EvaluateOption) T {
	return browser.Value[T](tb.Tab, expression, options...)
}

// quote returns a stored quote.
func (s *site) quote(t *testing.T, id, cause string) casefile.Quote {
	t.Helper()
	q, err := cases.Read[casefile.Quote](t.Context(), s.cases, casefile.QuoteKey(id, cause))
	if err != nil {
		t.Fatal(err)
	}
	return q.Object
}

// record tells the code of each photo of a case, and which quotes it has, as
// they are stored.
func (s *site) record(t *testing.T, id string) (codes []reason.Code, quotes []string) {
	t.Helper()
	keys, err := s.cases.List(t.Context(), fmt.Sprintf("cases/%s/", id))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys { // in the order of the photos: S3 lists by name
		switch {
		case strings.HasSuffix(key, "/estimate.json"):
			e, err := cases.Read[casefile.Estimate](t.Context(), s.cases, key)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, e.Object.Code)
		case strings.HasPrefix(key, casefile.QuotesPrefix(id)):
			quotes = append(quotes, strings.TrimSuffix(filepath.Base(key), ".json"))
		}
	}
	return codes, quotes
}
