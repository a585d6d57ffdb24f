// Package lambdad is AWS Lambda on one machine, for the local stack. It runs
// the real bootstraps as processes behind the Lambda Runtime API, invokes them
// synchronously and asynchronously, retries, and delivers to destinations as
// the functions' settings say.
//
// It does not isolate: a function sees the machine's file system and network.
// It does not read templates, speak to S3 or verify signatures. Versions,
// aliases, layers, streamed responses and log tails are left out. It needs a
// Unix; memory is limited on Linux only.
package lambdad

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Lambda's own defaults, for fields of Function that are zero.
const (
	defaultMemoryMB = 128
	defaultTimeout  = 3 * time.Second
	defaultEventAge = 6 * time.Hour
)

// Function is one function as a template sets it.
type Function struct {
	Name string // physical name, unique in the server
	ARN  string // without a version
	Dir  string // folder that holds the executable "bootstrap"

	MemoryMB    int           // 0: 128
	Timeout     time.Duration // of one invocation; 0: 3 s
	Concurrency int           // instances at most; 0: one for each processor

	// Env is what the template and the role add, as NAME=value: credentials,
	// region, S3 endpoint. Names that Lambda reserves are set by the server.
	Env []string

	MaxRetries  int           // of an asynchronous event, after the first try
	MaxEventAge time.Duration // of an asynchronous event; 0: 6 h
	OnSuccess   *Destination  // nil: none
	OnFailure   *Destination

	AccessKey string   // of the function's role
	MayInvoke []string // names or ARNs of the functions that the role may invoke
}

// Destination is where the record of a finished event goes: to a function or
// to a bucket, one of the two.
type Destination struct {
	Function string // name or ARN
	Bucket   string
}

// Config is what a server needs.
type Config struct {
	Functions []Function

	// Operator is the access key that may invoke every function.
	Operator string

	// Callers are roles that are not a function's, by access key, with the names
	// or ARNs of the functions that each may invoke.
	Callers map[string][]string

	// PutObject writes the record of a bucket destination with the role of
	// the function whose access key is given. Needed where a function has
	// such a destination.
	PutObject func(ctx context.Context, bucket, key string, body []byte, accessKey string) error

	RetryWait   time.Duration // before each retry; 0: Lambda's 1 and 2 minutes
	Port        int           // on 127.0.0.1; 0: any free one
	FunctionLog io.Writer     // what functions print, each line after the function's name; nil: discarded
	Log         *slog.Logger  // nil: discarded

	Now   func() time.Time // nil: time.Now
	NewID func() string    // request and record ids; nil: random UUIDs
}

// Server runs functions. Its methods are safe for concurrent use.
type Server struct {
	cfg      Config
	endpoint string
	http     *http.Server
	served   chan struct{} // closed when the HTTP server has ended
	logLock  sync.Mutex    // keeps lines of different instances whole

	functions map[string]*function // by name
	roles     map[string]*function // by access key

	// alive ends with Close. It is a field because it bounds the life of
	// processes and of waiting events, which outlast any one call.
	alive  context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu        sync.Mutex // guards what follows, and the changing part of each function
	closed    bool
	instances map[string]*instance // by id
	events    int                  // asynchronous events not yet settled
	quiet     chan struct{}        // closed while events is 0
}

// Start listens on 127.0.0.1 and is ready to invoke. No process is started
// before an invocation needs it. The end of ctx kills every process; Close
// must be called all the same.
//
// It fails with a wrapped syscall.EADDRINUSE where the port is taken, and with
// a wrapped fs.ErrNotExist where a bootstrap is missing.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	s := &Server{
		cfg:       withDefaults(cfg),
		served:    make(chan struct{}),
		functions: make(map[string]*function),
		roles:     make(map[string]*function),
		instances: make(map[string]*instance),
		quiet:     make(chan struct{}),
	}
	close(s.quiet)
	if err := s.addFunctions(); err != nil {
		return nil, err
	}

	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.cfg.Port))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for Lambda: %w", err)
	}
	s.endpoint = "http://" + listener.Addr().String()
	s.alive, s.cancel = context.WithCancel(ctx)

	// Neither a write nor a read timeout: an instance waits for its next
	// event for as long as there is none.
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelWarn),
	}
	go func() {
		defer close(s.served)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.cfg.Log.Error("serve Lambda", "err", err)
		}
	}()
	return s, nil
}

func withDefaults(cfg Config) Config {
	if cfg.FunctionLog == nil {
		cfg.FunctionLog = io.Discard
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewID == nil {
		cfg.NewID = newUUID
	}
	return cfg
}

// addFunctions checks the functions while nothing runs yet, so that a mistake
// in the settings is told at the start and not by an event that is lost later.
func (s *Server) addFunctions() error {
	for _, settings := range s.cfg.Functions {
		f := &function{Function: settings}
		if f.MemoryMB == 0 {
			f.MemoryMB = defaultMemoryMB
		}
		if f.Timeout == 0 {
			f.Timeout = defaultTimeout
		}
		if f.Concurrency == 0 {
			f.Concurrency = runtime.NumCPU()
		}
		if f.MaxEventAge == 0 {
			f.MaxEventAge = defaultEventAge
		}
		if s.functions[f.Name] != nil {
			return fmt.Errorf("function %s is defined twice", f.Name)
		}
		dir, err := filepath.Abs(f.Dir)
		if err != nil {
			return fmt.Errorf("find folder of function %s: %w", f.Name, err)
		}
		f.Dir = dir
		if err := checkBootstrap(f.Dir); err != nil {
			return fmt.Errorf("find bootstrap of function %s: %w", f.Name, err)
		}
		s.functions[f.Name] = f
		if f.AccessKey != "" {
			s.roles[f.AccessKey] = f
		}
	}
	for _, f := range s.functions {
		if err := s.checkDestinations(f); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) checkDestinations(f *function) error {
	for _, d := range []*Destination{f.OnSuccess, f.OnFailure} {
		switch {
		case d == nil:
		case (d.Function == "") == (d.Bucket == ""):
			return fmt.Errorf("function %s has a destination that is not one function or one bucket", f.Name)
		case d.Bucket != "" && s.cfg.PutObject == nil:
			return fmt.Errorf("function %s has a bucket as destination and PutObject is not set", f.Name)
		case d.Function != "" && s.function(d.Function) == nil:
			return fmt.Errorf("function %s has the unknown destination %s", f.Name, d.Function)
		}
	}
	return nil
}

func checkBootstrap(dir string) error {
	info, err := os.Stat(filepath.Join(dir, "bootstrap"))
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("%s is not an executable file", filepath.Join(dir, "bootstrap"))
	}
	return nil
}

// function finds a function by its name, its ARN or the short form of that,
// 000000000000:function:name, each with or without the version $LATEST. It
// returns nil where there is none.
func (s *Server) function(nameOrARN string) *function {
	name := strings.TrimSuffix(nameOrARN, ":"+latest)
	if _, last, ok := strings.Cut(name, "function:"); ok {
		name = last
	}
	return s.functions[name]
}

// Endpoint is the URL for AWS_ENDPOINT_URL_LAMBDA.
func (s *Server) Endpoint() string { return s.endpoint }

// InvokeAsync queues an event of the platform itself, such as a bucket's
// notification, for the function of that name or ARN. The payload is JSON and
// must not be changed afterwards.
func (s *Server) InvokeAsync(nameOrARN string, payload []byte) error {
	f := s.function(nameOrARN)
	if f == nil {
		return fmt.Errorf("invoke %s: no such function", nameOrARN)
	}
	if !s.accept(f, s.cfg.NewID(), payload) {
		return fmt.Errorf("invoke %s: %w", f.Name, net.ErrClosed)
	}
	return nil
}

// Kill sends SIGKILL to every live instance of the function of that name or
// ARN, busy or not, and returns how many there were. It is for tests.
func (s *Server) Kill(nameOrARN string) int {
	f := s.function(nameOrARN)
	if f == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.idle = nil // no event may be handed to a process that is about to end
	n := 0
	for id, in := range s.instances {
		if in.function == f {
			delete(s.instances, id)
			in.kill()
			n++
		}
	}
	return n
}

// Idle waits until no asynchronous event is queued, waiting for a retry,
// running or on its way to a destination.
func (s *Server) Idle(ctx context.Context) error {
	for {
		s.mu.Lock()
		events, quiet := s.events, s.quiet
		s.mu.Unlock()
		if events == 0 {
			return nil
		}
		select {
		case <-quiet:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d events: %w", events, ctx.Err())
		case <-s.alive.Done():
			return fmt.Errorf("wait for %d events: %w", events, net.ErrClosed)
		}
	}
}

// Close kills every instance with its children, drops the events that are
// left, and returns when no process and no listener remains.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.cancel()
	s.mu.Unlock()

	s.work.Wait() // first, or the processes would complain that their server is gone
	err := s.http.Close()
	<-s.served
	if err != nil {
		return fmt.Errorf("close Lambda: %w", err)
	}
	return nil
}
