package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
)

// start serves routes whose function is answered by answer.
func start(t *testing.T, cfg Config, answer func(events.APIGatewayV2HTTPRequest) string) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listener, cfg.ID, cfg.Account = l, "api", "000000000000"
	cfg.Now = func() time.Time { return time.Date(2026, 11, 25, 1, 2, 3, 0, time.UTC) }
	cfg.NewID = func() string { return "id" }
	cfg.Log = slog.New(slog.DiscardHandler)
	cfg.Invoke = func(_ context.Context, function string, payload []byte) ([]byte, bool, error) {
		if function == "broken" {
			return []byte(`{"errorType":"x"}`), true, nil
		}
		var e events.APIGatewayV2HTTPRequest
		if err := json.Unmarshal(payload, &e); err != nil {
			t.Error(err)
		}
		return []byte(answer(e)), false, nil
	}
	s := Serve(cfg)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func send(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(b)
}

// TestRoutes sends requests to routes of every kind.
func TestRoutes(t *testing.T) {
	var routes []Route
	for _, key := range []string{"GET /", "GET /a", "GET /a/{x}", "GET /a/b", "POST /a/{x}", "GET /p/{f+}", "ANY /a/{x}/y"} {
		method, path, _ := strings.Cut(key, " ")
		routes = append(routes, Route{Method: method, Path: path, Function: "f"})
	}
	s := start(t, Config{Routes: routes}, func(e events.APIGatewayV2HTTPRequest) string {
		b, _ := json.Marshal(map[string]any{"route": e.RouteKey, "variables": e.PathParameters})
		return string(b) // without a statusCode: the body of a 200
	})
	tests := []struct{ request, want string }{
		{"GET /", `{"route":"GET /","variables":null}`},
		{"GET /a", `{"route":"GET /a","variables":null}`},
		{"GET /a/b", `{"route":"GET /a/b","variables":null}`},
		{"GET /a/c%20d", `{"route":"GET /a/{x}","variables":{"x":"c d"}}`},
		{"POST /a/b", `{"route":"POST /a/{x}","variables":{"x":"b"}}`},
		{"DELETE /a/b/y", `{"route":"ANY /a/{x}/y","variables":{"x":"b"}}`},
		{"GET /p/q/r.js", `{"route":"GET /p/{f+}","variables":{"f":"q/r.js"}}`},
		{"GET /p/", `{"message":"Not Found"}`},
		{"PUT /a/b", `{"message":"Not Found"}`},
		{"GET /a/b/c", `{"message":"Not Found"}`},
	}
	for _, tt := range tests {
		method, path, _ := strings.Cut(tt.request, " ")
		if _, got := send(t, method, s.Endpoint+path, ""); got != tt.want {
			t.Errorf("%s = %s, want %s", tt.request, got, tt.want)
		}
	}
}

func TestEventAndAnswer(t *testing.T) {
	var got events.APIGatewayV2HTTPRequest
	s := start(t, Config{Routes: []Route{{Method: "POST", Path: "/a", Function: "f"}}}, func(e events.APIGatewayV2HTTPRequest) string {
		got = e
		return `{"statusCode":201,"headers":{"X-Own":"1","content-type":"image/png"},"cookies":["c=1; Secure"],"body":"AAE=","isBase64Encoded":true}`
	})
	response, body := send(t, "POST", s.Endpoint+"/a?q=1&q=2&e=", "\x00\x01", "Content-Type", "image/png", "X-Two", "a", "X-Two", "b", "Cookie", "k=v; l=w")
	if response.StatusCode != 201 || body != "\x00\x01" || response.Header.Get("X-Own") != "1" ||
		response.Header.Get("Content-Type") != "image/png" || response.Header.Get("Set-Cookie") != "c=1; Secure" {
		t.Errorf("answer: %d %v %q", response.StatusCode, response.Header, body)
	}
	if got.Version != "2.0" || got.Body != "AAE=" || !got.IsBase64Encoded || got.Headers["x-two"] != "a,b" || got.Headers["cookie"] != "" ||
		got.RequestContext.HTTP.Method != "POST" || got.RequestContext.Stage != "$default" || got.RawQueryString != "q=1&q=2&e=" {
		t.Errorf("event %+v", got)
	}
	if diff := cmp.Diff(map[string]string{"q": "1,2", "e": ""}, got.QueryStringParameters); diff != "" {
		t.Errorf("query (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"k=v", "l=w"}, got.Cookies); diff != "" {
		t.Errorf("cookies (-want +got)\n%s", diff)
	}
	send(t, "POST", s.Endpoint+"/a", `{}`, "Content-Type", "application/json")
	if got.IsBase64Encoded || got.Body != "{}" {
		t.Errorf("JSON came as %q, encoded %v", got.Body, got.IsBase64Encoded)
	}
}

// TestOwnAnswers are those that no function gives.
func TestOwnAnswers(t *testing.T) {
	s := start(t, Config{Routes: []Route{{Method: "GET", Path: "/a", Function: "f"}, {Method: "POST", Path: "/a", Function: "f"}, {Method: "GET", Path: "/broken", Function: "broken"}}, Rate: 0.001, Burst: 2},
		func(events.APIGatewayV2HTTPRequest) string { return `{"statusCode":204}` })
	var codes []int
	for _, request := range []string{"GET /a", "GET /a", "GET /a", "POST /a", "GET /broken"} {
		method, path, _ := strings.Cut(request, " ")
		response, _ := send(t, method, s.Endpoint+path, "")
		codes = append(codes, response.StatusCode)
	}
	if diff := cmp.Diff([]int{204, 204, 429, 204, 500}, codes); diff != "" {
		t.Errorf("statuses (-want +got)\n%s", diff)
	}
	if response, _ := send(t, "POST", s.Endpoint+"/a", strings.Repeat("x", maxBody+1)); response.StatusCode != 413 {
		t.Errorf("large body: %d, want 413", response.StatusCode)
	}
}

func TestCORS(t *testing.T) {
	s := start(t, Config{Routes: []Route{{Method: "GET", Path: "/a", Function: "f"}},
		CORS: &CORS{Origins: []string{"https://page"}, Methods: []string{"GET"}, Headers: []string{"authorization"}, MaxAge: 5}},
		func(events.APIGatewayV2HTTPRequest) string { return `{"statusCode":200}` })
	for origin, want := range map[string]string{"https://page": "https://page", "https://other": "", "": ""} {
		for _, method := range []string{"GET", "OPTIONS"} {
			response, _ := send(t, method, s.Endpoint+"/a", "", "Origin", origin, "Access-Control-Request-Method", "GET")
			if got := response.Header.Get("Access-Control-Allow-Origin"); got != want {
				t.Errorf("%s from %q is let in as %q, want %q", method, origin, got, want)
			}
			if method == "OPTIONS" && origin != "" && response.StatusCode != 204 {
				t.Errorf("preflight from %q: %d", origin, response.StatusCode)
			}
		}
	}
}
