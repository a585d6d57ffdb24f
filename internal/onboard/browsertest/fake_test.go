package browsertest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/agequote/agequote/internal/onboard/page"
)

// fake stands in for the API until it is there. TO BE DELETED.
type fake struct {
	mu     sync.Mutex
	status map[string]map[string]any
	codes  []string
}

func startFake(t *testing.T) (site, uploads string, f *fake) {
	f = &fake{status: map[string]map[string]any{}}
	var up *httptest.Server
	pageMux := http.NewServeMux()
	srv := httptest.NewServer(pageMux)
	up = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", srv.URL)
		if r.Method == "OPTIONS" {
			w.Header().Set("Access-Control-Allow-Methods", "POST")
			return
		}
		_ = r.ParseMultipartForm(20 << 20)
		id := r.FormValue("key")
		w.WriteHeader(204)
		go func() {
			time.Sleep(300 * time.Millisecond)
			f.mu.Lock()
			defer f.mu.Unlock()
			s := f.status[id]
			n := s["next"].(int)
			code := "ok"
			if len(f.codes) > 0 {
				code, f.codes = f.codes[0], f.codes[1:]
			}
			s["photo"] = map[string]any{"n": n, "code": code}
			list, _ := s["photos"].([]any)
			s["photos"] = append(list, s["photo"])
			s["state"] = "another_photo"
			if code == "ok" {
				s["state"] = "quoted"
				s["quote"] = quoteJSON("photo-000"+fmt.Sprint(n), "estimate")
			}
		}()
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(up.Close)
	headers := page.Headers(up.URL)
	serve := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			n := name
			if n == "*" {
				n = strings.TrimPrefix(r.URL.Path, "/page/")
			}
			a, ok := page.Asset(n)
			if !ok {
				w.WriteHeader(404)
				return
			}
			for k, v := range headers {
				w.Header().Set(k, v)
			}
			w.Header().Set("Content-Type", a.Type)
			_, _ = w.Write(a.Body)
		}
	}
	pageMux.HandleFunc("GET /{$}", serve(""))
	pageMux.HandleFunc("GET /page/", serve("*"))
	answer := func(w http.ResponseWriter, code int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(v)
	}
	pageMux.HandleFunc("GET /terms", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, map[string]any{
			"consent": map[string]any{"version": "2026-11", "hash": "sha256:x", "purpose": "age", "days": 30, "text": map[string]string{
				"en": "I agree that my age is estimated from my photo to quote a life insurance premium.\n\nAn underwriter may look at the photo. It is deleted after 30 days.",
				"de": "Ich willige ein, dass mein Alter aus meinem Foto geschätzt wird, um einen Beitrag zur Lebensversicherung zu nennen.\n\nJemand aus der Risikoprüfung darf das Foto ansehen. Es wird nach 30 Tagen gelöscht."}},
			"markets": []any{
				map[string]any{"market": "US", "currency": "USD", "sex": true, "products": []any{map[string]any{
					"id": "us-term", "terms": []int{10, 15, 20, 25, 30}, "min_sum_cents": 2500000, "max_sum_cents": 500000000, "modes": []string{"annual", "monthly"}, "default_mode": "annual"}},
					"questions": []any{map[string]any{"id": "heart", "text": map[string]string{"en": "Have you had a heart attack or a stroke?", "de": "Hatten Sie einen Herzinfarkt oder Schlaganfall?"}}}},
				map[string]any{"market": "EU", "currency": "EUR", "sex": false, "products": []any{map[string]any{
					"id": "eu-term", "terms": []int{10, 20}, "min_sum_cents": 2500000, "max_sum_cents": 500000000, "modes": []string{"annual", "monthly"}, "default_mode": "annual"}}},
			}})
	})
	pageMux.HandleFunc("POST /applications", func(w http.ResponseWriter, r *http.Request) {
		var b map[string]any
		_ = json.NewDecoder(r.Body).Decode(&b)
		f.mu.Lock()
		defer f.mu.Unlock()
		id := "case" + fmt.Sprint(len(f.status)+1)
		f.status[id] = map[string]any{"case": id, "state": "waiting", "facts": b["facts"], "next": 0, "photos": []any{}}
		if b["consent"] != nil {
			f.status[id]["consent"] = b["consent"]
		}
		answer(w, 201, map[string]any{"case": id, "secret": "s", "status": f.status[id]})
	})
	pageMux.HandleFunc("/applications/{case}", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		s, ok := f.status[r.PathValue("case")]
		if !ok {
			answer(w, 404, map[string]any{"code": "not_found"})
			return
		}
		if r.Method == "DELETE" {
			delete(f.status, r.PathValue("case"))
			answer(w, 200, map[string]any{"receipt": "abc123", "time": time.Now(), "removed": []string{"photo", "facts"}, "kept": []any{map[string]string{"what": "decision", "why": "audit"}}})
			return
		}
		answer(w, 200, s)
	})
	pageMux.HandleFunc("/applications/{case}/{what}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		defer f.mu.Unlock()
		id := r.PathValue("case")
		s := f.status[id]
		switch r.PathValue("what") {
		case "photos":
			s["next"] = s["next"].(int) + 1
			answer(w, 201, map[string]any{"n": s["next"], "url": up.URL + "/", "fields": map[string]string{"key": id}, "expires": time.Now()})
		case "age", "facts":
			var b map[string]any
			_ = json.Unmarshal(body, &b)
			if b["facts"] != nil {
				s["facts"] = b["facts"]
			}
			s["state"] = "quoted"
			s["quote"] = quoteJSON("facts-"+fmt.Sprint(time.Now().UnixNano()), "declared")
			answer(w, 202, map[string]any{})
		case "person":
			s["state"], s["waiting_since"] = "with_a_person", time.Now()
			answer(w, 202, map[string]any{})
		case "letter":
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = io.WriteString(w, "Decision letter\n\nWe can quote.\n")
		default:
			answer(w, 202, map[string]any{})
		}
	})
	return srv.URL, up.URL, f
}

func quoteJSON(cause, source string) map[string]any {
	q := map[string]any{"cause": cause, "decision": "quote", "class": "Preferred Plus", "reasons": []any{}, "gross_annual_cents": 14918, "modal_cents": 14918, "mode": "annual", "currency": "USD", "expires": "2026-12-25", "valuation_date": "2026-11-25",
		"basis": map[string]any{"price_age": 28, "price_age_source": source, "sum_cents": 25000000, "term_years": 20, "product": "us-term"}, "notices": []string{"This is an indication, not an offer of insurance."}, "model_use": "research"}
	if source == "estimate" {
		q["interval"] = map[string]any{"age": 28.4, "low": 20, "high": 42, "coverage": 0.9}
		at := func(age, cents int) map[string]any {
			return map[string]any{"age": age, "gross_annual_cents": cents, "modal_cents": cents}
		}
		q["at"] = map[string]any{"low": at(20, 13382), "estimated": at(28, 14918), "high": at(42, 32326)}
		q["expected_gross_annual_cents"] = 18859
	}
	return q
}
