// Package httpapi is an API Gateway HTTP API on one machine, for the local
// stack: routes to functions with events of payload format 2.0, CORS and
// throttling as a template sets them.
//
// It listens on 127.0.0.1 alone, over plain HTTP. Authorizers, stages other
// than $default, domain names, parameter mappings, access logs and other
// integrations than a function are left out.
package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"golang.org/x/time/rate"
)

// API Gateway's limits, as its documentation of quotas for HTTP APIs states them.
const (
	maxBody     = 10 << 20 // bytes of a request
	maxHeader   = 10_240   // bytes of the request line and headers
	maxWait     = 30 * time.Second
	defaultRate = 10_000 // an account's, where the template states none
)

// Route is what a function answers.
type Route struct {
	Method   string // upper case, or ANY
	Path     string // /a/{b}, or /a/{b+} for all that follows
	Function string // name or ARN

	Authorizer *JWT     // nil: anybody
	Scopes     []string // of which the token needs one; with an Authorizer
}

// CORS says which pages of other origins a browser lets in. The API answers
// their preflight requests itself.
type CORS struct {
	Origins, Methods, Headers, Expose []string
	MaxAge                            int // seconds
}

// Config says what to serve.
type Config struct {
	Listener net.Listener // 127.0.0.1
	ID       string       // of the API
	Routes   []Route
	Rate     float64 // requests a second for each route; 0: the account's
	Burst    int
	CORS     *CORS

	// Invoke runs a function and waits for it. failed says that it did not
	// answer.
	Invoke func(ctx context.Context, function string, payload []byte) (answer []byte, failed bool, err error)

	Account string
	Now     func() time.Time
	NewID   func() string
	Log     *slog.Logger
}

// Server is a running API.
type Server struct {
	Endpoint string // http://127.0.0.1:port

	cfg    Config
	routes []route
	http   *http.Server
	served chan struct{}
}

type route struct {
	Route
	steps   []string
	limiter *rate.Limiter
}

// Serve serves the API on its listener, until Close.
func Serve(cfg Config) *Server {
	s := &Server{Endpoint: "http://" + cfg.Listener.Addr().String(), cfg: cfg, served: make(chan struct{})}
	limit, burst := cfg.Rate, cfg.Burst
	if limit == 0 {
		limit, burst = defaultRate, defaultRate/2
	}
	for _, r := range cfg.Routes {
		s.routes = append(s.routes, route{r, split(r.Path), rate.NewLimiter(rate.Limit(limit), burst)})
	}
	// The more of a path is written out, the earlier it is asked.
	slices.SortStableFunc(s.routes, func(x, y route) int { return slices.Compare(y.rank(), x.rank()) })
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    maxHeader - 4096, // net/http adds as much
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn),
	}
	go func() {
		defer close(s.served)
		if err := s.http.Serve(cfg.Listener); !errors.Is(err, http.ErrServerClosed) {
			cfg.Log.Error("serve HTTP API", "err", err)
		}
	}()
	return s
}

// Close stops listening and drops what is open.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.served
	if err != nil {
		return fmt.Errorf("close HTTP API: %w", err)
	}
	return nil
}

func split(path string) []string { return strings.Split(strings.TrimPrefix(path, "/"), "/") }

// rank orders routes: literal before variable before greedy, step by step, and
// a method before ANY.
func (r *route) rank() []int {
	var out []int
	for _, step := range r.steps {
		switch {
		case strings.HasSuffix(step, "+}"):
			out = append(out, 0)
		case strings.HasPrefix(step, "{"):
			out = append(out, 1)
		default:
			out = append(out, 2)
		}
	}
	if r.Method != "ANY" {
		out = append(out, 1)
	}
	return out
}

// match returns the path's variables, decoded; ok is false where the route is
// another one's.
func (r *route) match(method string, steps []string) (variables map[string]string, ok bool) {
	if r.Method != "ANY" && r.Method != method {
		return nil, false
	}
	for i, step := range r.steps {
		name, isVariable := strings.CutPrefix(step, "{")
		name, greedy := strings.CutSuffix(strings.TrimSuffix(name, "}"), "+")
		if i >= len(steps) || isVariable && steps[i] == "" {
			return nil, false
		}
		switch {
		case !isVariable && step != steps[i]:
			return nil, false
		case !isVariable:
			continue
		}
		if variables == nil {
			variables = map[string]string{}
		}
		if greedy {
			variables[name] = strings.Join(steps[i:], "/")
			return variables, true
		}
		variables[name] = steps[i]
	}
	return variables, len(steps) == len(r.steps)
}

// ServeHTTP answers as API Gateway does: with what the function says, or in its
// own words.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.cors(w, r) {
		return
	}
	for _, route := range s.routes {
		variables, ok := route.match(r.Method, split(r.URL.Path))
		if !ok {
			continue
		}
		if !route.limiter.Allow() {
			say(w, http.StatusTooManyRequests, "Too Many Requests")
			return
		}
		e := s.event(r, &route, variables)
		if a := route.Authorizer; a != nil {
			checked, no := a.authorize(r, route.Scopes, s.cfg.Now())
			if no != nil {
				no.answer(w)
				return
			}
			e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{JWT: checked}
		}
		s.invoke(w, r, &route, e)
		return
	}
	say(w, http.StatusNotFound, "Not Found")
}

// say answers in API Gateway's own words.
func say(w http.ResponseWriter, status int, message string) {
	body, _ := json.Marshal(map[string]string{"message": message}) // strings always marshal
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // nobody is left to tell
}

// cors answers a preflight request, and adds to other answers what a browser
// asks for.
func (s *Server) cors(w http.ResponseWriter, r *http.Request) (answered bool) {
	c, origin := s.cfg.CORS, r.Header.Get("Origin")
	if c == nil || origin == "" {
		return false
	}
	preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
	if slices.Contains(c.Origins, origin) || slices.Contains(c.Origins, "*") {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Add("Vary", "Origin")
		if len(c.Expose) > 0 {
			h.Set("Access-Control-Expose-Headers", strings.Join(c.Expose, ","))
		}
		if preflight {
			h.Set("Access-Control-Allow-Methods", strings.Join(c.Methods, ","))
			h.Set("Access-Control-Allow-Headers", strings.Join(c.Headers, ","))
			h.Set("Access-Control-Max-Age", strconv.Itoa(c.MaxAge))
		}
	}
	if preflight {
		w.WriteHeader(http.StatusNoContent)
	}
	return preflight
}

// invoke adds the body to the event and runs the route's function.
func (s *Server) invoke(w http.ResponseWriter, r *http.Request, route *route, e events.APIGatewayV2HTTPRequest) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		say(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	case err != nil:
		say(w, http.StatusBadRequest, "Bad Request")
		return
	}
	if isText(r.Header.Get("Content-Type")) {
		e.Body = string(body)
	} else if len(body) > 0 {
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	payload, err := json.Marshal(e)
	if err != nil {
		s.cfg.Log.Error("encode event", "err", err)
		say(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), maxWait)
	defer cancel()
	answer, failed, err := s.cfg.Invoke(ctx, route.Function, payload)
	switch {
	case err != nil:
		say(w, http.StatusServiceUnavailable, "Service Unavailable")
	case failed:
		say(w, http.StatusInternalServerError, "Internal Server Error")
	default:
		pass(w, answer)
	}
}

// event is the request in payload format 2.0, but for its body. See
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
func (s *Server) event(r *http.Request, route *route, variables map[string]string) events.APIGatewayV2HTTPRequest {
	now := s.cfg.Now().UTC()
	ip, _, _ := net.SplitHostPort(r.RemoteAddr)
	headers := map[string]string{"host": r.Host, "x-forwarded-for": ip, "x-forwarded-proto": "http"}
	for name, values := range r.Header {
		if name != "Cookie" {
			headers[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	if r.ContentLength >= 0 {
		headers["content-length"] = strconv.FormatInt(r.ContentLength, 10)
	}
	e := events.APIGatewayV2HTTPRequest{
		Version:        "2.0",
		RouteKey:       route.Method + " " + route.Path,
		RawPath:        r.URL.Path,
		RawQueryString: r.URL.RawQuery,
		Headers:        headers,
		PathParameters: variables,
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			RouteKey: route.Method + " " + route.Path, AccountID: s.cfg.Account, Stage: "$default",
			RequestID: s.cfg.NewID(), APIID: s.cfg.ID, DomainName: r.Host, DomainPrefix: s.cfg.ID,
			Time: now.Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: now.UnixMilli(),
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
				Method: r.Method, Path: r.URL.Path, Protocol: r.Proto, SourceIP: ip, UserAgent: r.UserAgent(),
			},
		},
	}
	for _, c := range r.Header.Values("Cookie") {
		e.Cookies = append(e.Cookies, strings.Split(c, "; ")...)
	}
	for name, values := range r.URL.Query() {
		if e.QueryStringParameters == nil {
			e.QueryStringParameters = map[string]string{}
		}
		e.QueryStringParameters[name] = strings.Join(values, ",")
	}
	return e
}

// isText tells whether API Gateway hands a body of this type over as it is;
// others it encodes.
func isText(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (strings.HasPrefix(media, "text/") ||
		slices.Contains([]string{"application/json", "application/javascript", "application/xml"}, media))
}

// pass answers with what the function says. An answer without a statusCode is
// the body of a 200, as API Gateway takes it.
func pass(w http.ResponseWriter, answer []byte) {
	var out events.APIGatewayV2HTTPResponse
	err := json.Unmarshal(answer, &out)
	if err != nil || out.StatusCode == 0 {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer) // nobody is left to tell
		return
	}
	body := []byte(out.Body)
	if out.IsBase64Encoded {
		if body, err = base64.StdEncoding.DecodeString(out.Body); err != nil {
			say(w, http.StatusInternalServerError, "Internal Server Error")
			return
		}
	}
	h := w.Header()
	for _, name := range slices.Sorted(maps.Keys(out.Headers)) {
		h.Set(name, out.Headers[name])
	}
	for name, values := range out.MultiValueHeaders {
		h[http.CanonicalHeaderKey(name)] = values
	}
	for _, c := range out.Cookies {
		h.Add("Set-Cookie", c)
	}
	if h.Get("Content-Type") == "" && len(body) > 0 {
		h.Set("Content-Type", "text/plain")
	}
	w.WriteHeader(out.StatusCode)
	_, _ = w.Write(body)
}
