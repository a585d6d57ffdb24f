// Package faultproxy stands between the functions and the local S3 server, and
// does by a seed what networks, clocks and disks do: answers late, answers 503,
// cuts the connection before or after the effect, cuts an answer short, says
// that the caller's clock is wrong, says that the disk is full, hands out an
// object damaged. It is for tests
// and for trials on the local stack; nothing that serves imports it.
package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Kind is a fault.
type Kind string

// The faults.
const (
	Slow    Kind = "slow"    // answered after Plan.Delay
	Busy    Kind = "busy"    // 503 SlowDown, without effect
	Broken  Kind = "broken"  // 500 InternalError, without effect
	Refused Kind = "refused" // the connection is cut before anything is done
	Lost    Kind = "lost"    // done, and the answer is lost
	Half    Kind = "half"    // the answer ends in its middle
	Clock   Kind = "clock"   // 403 RequestTimeTooSkewed: the caller's clock jumped
	Full    Kind = "full"    // writes alone: 507, as of a disk that is full; see SetFull
	none    Kind = ""

	// Reads of objects alone: on the wire TLS finds the like, not where it
	// happened before.
	Cut     Kind = "cut"     // the second half is missing, and the length agrees
	Flipped Kind = "flipped" // one bit is another
	Other   Kind = "other"   // the bytes of the object that was read before
)

// kinds in the order in which a drawn number is held against their rates.
var kinds = []Kind{Slow, Busy, Broken, Refused, Lost, Half, Clock, Cut, Flipped, Other}

// Plan says which share of requests meets which fault.
type Plan struct {
	Seed  uint64
	Rates map[Kind]float64 // 0 to 1 each, together at most 1
	Delay time.Duration    // of Slow
}

// Even is a plan in which every kind but Full has the same rate.
func Even(seed uint64, rate float64) Plan {
	p := Plan{Seed: seed, Rates: map[Kind]float64{}, Delay: 2 * time.Second}
	for _, k := range kinds {
		p.Rates[k] = rate
	}
	return p
}

// Proxy is a running proxy.
type Proxy struct {
	Endpoint string // http://127.0.0.1:port

	target *httputil.ReverseProxy
	server *http.Server
	served chan struct{}

	mu     sync.Mutex // guards what follows
	plan   Plan
	random *rand.Rand
	full   bool
	counts map[Kind]int
	before []byte // the object that was read before
}

// Serve starts a proxy in front of target, an http URL.
func Serve(target string, p Plan) (*Proxy, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("parse address of S3: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	proxy := &Proxy{
		Endpoint: "http://" + listener.Addr().String(),
		plan:     p, random: rand.New(rand.NewPCG(p.Seed, 0)), counts: map[Kind]int{}, served: make(chan struct{}),
		target: &httputil.ReverseProxy{
			// The host stays: the caller has signed it.
			Rewrite: func(r *httputil.ProxyRequest) {
				r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
			},
			ErrorLog: log.New(io.Discard, "", 0), // connections that we cut ourselves
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
				panic(http.ErrAbortHandler) // the server behind us is gone: so is the connection
			},
		},
	}
	proxy.server = &http.Server{Handler: proxy, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		defer close(proxy.served)
		_ = proxy.server.Serve(listener) // ends by Close alone
	}()
	return proxy, nil
}

// Close stops the proxy.
func (p *Proxy) Close() error {
	err := p.server.Close()
	<-p.served
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("close proxy: %w", err)
	}
	return nil
}

// Rest ends all faults: what follows goes through.
func (p *Proxy) Rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan.Rates, p.full = nil, false
}

// SetFull makes the disk full, or empty again.
func (p *Proxy) SetFull(full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.full = full
}

// Counts returns how many requests met which fault.
func (p *Proxy) Counts() map[Kind]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// draw decides what a request meets.
func (p *Proxy) draw(r *http.Request) (Kind, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kind := none
	at := p.random.Float64()
	for _, k := range kinds {
		if at -= p.plan.Rates[k]; at < 0 {
			kind = k
			break
		}
	}
	if p.full && (r.Method == http.MethodPut || r.Method == http.MethodPost) {
		kind = Full
	}
	if slices.Contains([]Kind{Cut, Flipped, Other}, kind) && !readsObject(r) {
		kind = none
	}
	if kind != none {
		p.counts[kind]++
	}
	return kind, p.plan.Delay
}

// ServeHTTP passes a request on, or has it meet its fault.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, delay := p.draw(r)
	switch kind {
	case Slow:
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
	case Busy:
		refuse(w, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
		return
	case Broken:
		refuse(w, http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
		return
	case Clock:
		refuse(w, http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the server's time is too large.")
		return
	case Full:
		refuse(w, http.StatusInsufficientStorage, "InternalError", "No space left on device.")
		return
	case Refused:
		panic(http.ErrAbortHandler)
	case Lost:
		p.target.ServeHTTP(&sink{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case Half:
		w = &halved{ResponseWriter: w}
	}
	if readsObject(r) {
		whole := &held{ResponseWriter: w}
		defer p.spoil(whole, kind)
		w = whole
	}
	p.target.ServeHTTP(w, r)
}

// readsObject tells whether a request is for an object's bytes.
func readsObject(r *http.Request) bool {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return r.Method == http.MethodGet && key != ""
}

// spoil answers with the object that is held, changed as kind says.
func (p *Proxy) spoil(h *held, kind Kind) {
	body := h.body
	if h.status == http.StatusOK && len(body) > 0 {
		p.mu.Lock()
		before := p.before
		p.before = slices.Clone(body)
		p.mu.Unlock()
		switch kind {
		case Cut:
			body = body[:len(body)/2]
		case Flipped:
			body[len(body)/2] ^= 1
		case Other:
			body = before
		}
	}
	h.Header().Set("Content-Length", strconv.Itoa(len(body)))
	h.ResponseWriter.WriteHeader(h.status)
	_, _ = h.ResponseWriter.Write(body) // nobody is left to tell
}

// held keeps an answer back until it is whole.
type held struct {
	http.ResponseWriter
	status int
	body   []byte
}

func (h *held) WriteHeader(status int)      { h.status = status }
func (h *held) Write(b []byte) (int, error) { h.body = append(h.body, b...); return len(b), nil }

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
}

// sink takes an answer that nobody will read.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(int)             {}

// halved cuts the connection in the middle of an answer's body; one that is
// empty is cut after its head.
type halved struct {
	http.ResponseWriter
	left int64
}

func (h *halved) WriteHeader(status int) {
	length, _ := strconv.ParseInt(h.Header().Get("Content-Length"), 10, 64)
	h.left = length / 2
	h.ResponseWriter.WriteHeader(status)
	if h.left == 0 {
		_ = http.NewResponseController(h.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
}

func (h *halved) Write(b []byte) (int, error) {
	if int64(len(b)) < h.left {
		h.left -= int64(len(b))
		return h.ResponseWriter.Write(b)
	}
	_, _ = h.ResponseWriter.Write(b[:h.left]) // the connection ends either way
	_ = http.NewResponseController(h.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}
