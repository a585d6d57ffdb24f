package faultproxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/local/faultproxy"
)

// TestProxy sends one request through each fault: what comes back, and whether
// the server behind it saw the request.
func TestProxy(t *testing.T) {
	const answer = "twelve bytes"
	tests := []struct {
		kind   faultproxy.Kind
		status int // 0: no answer
		whole  bool
		done   bool
	}{
		{"", 200, true, true},
		{faultproxy.Cut, 200, false, true},
		{faultproxy.Flipped, 200, false, true},
		{faultproxy.Other, 200, false, true},
		{faultproxy.Slow, 200, true, true},
		{faultproxy.Busy, 503, false, false},
		{faultproxy.Broken, 500, false, false},
		{faultproxy.Clock, 403, false, false},
		{faultproxy.Full, 507, false, false},
		{faultproxy.Refused, 0, false, false},
		{faultproxy.Lost, 0, false, true},
		{faultproxy.Half, 200, false, true},
	}
	for _, tt := range tests {
		t.Run("fault "+string(tt.kind), func(t *testing.T) {
			done, host := false, ""
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				done, host = true, r.Host
				fmt.Fprint(w, answer)
			}))
			defer server.Close()
			p, err := faultproxy.Serve(server.URL, faultproxy.Plan{Delay: time.Millisecond, Rates: map[faultproxy.Kind]float64{tt.kind: 1}})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			p.SetFull(tt.kind == faultproxy.Full)

			method := http.MethodPut
			if slices.Contains([]faultproxy.Kind{faultproxy.Cut, faultproxy.Flipped, faultproxy.Other}, tt.kind) {
				method = http.MethodGet
			}
			request, err := http.NewRequestWithContext(t.Context(), method, p.Endpoint+"/bucket/key", strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			status, body := 0, ""
			// A client of its own: the shared one would try a cut connection again.
			if got, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request); err == nil {
				b, _ := io.ReadAll(got.Body)
				got.Body.Close()
				status, body = got.StatusCode, string(b)
			}
			if status != tt.status || (body == answer) != tt.whole || done != tt.done {
				t.Errorf("status %d, body %q, done %v", status, body, done)
			}
			if done && host != strings.TrimPrefix(p.Endpoint, "http://") {
				t.Errorf("the server saw host %s, which the caller did not sign", host)
			}
			if want := map[faultproxy.Kind]int{tt.kind: 1}; tt.kind != "" && !cmp.Equal(p.Counts(), want) {
				t.Errorf("counted %v, want %v", p.Counts(), want)
			}
		})
	}
}

// TestSeed draws the same faults by the same seed, and others by another.
func TestSeed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	faults := func(seed uint64) (statuses string) {
		p, err := faultproxy.Serve(server.URL, faultproxy.Plan{Seed: seed, Rates: map[faultproxy.Kind]float64{faultproxy.Busy: 0.3, faultproxy.Broken: 0.3}})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for range 40 {
			got, err := http.Get(p.Endpoint)
			if err != nil {
				t.Fatal(err)
			}
			got.Body.Close()
			statuses += fmt.Sprint(got.StatusCode, " ")
		}
		return statuses
	}
	if first := faults(1); first != faults(1) || first == faults(2) {
		t.Errorf("seed 1 draws %s, then %s; seed 2 %s", first, faults(1), faults(2))
	}
}
