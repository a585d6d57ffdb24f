// Package gateway runs an S3 server inside this process: versitygw on a folder,
// with the buckets of a template, a user for each function's role, bucket
// policies that grant these users what the template grants the roles, and a
// call for each object that is created.
//
// It listens on 127.0.0.1 alone, over plain HTTP, so a template's statements
// about TLS do not apply. Lifecycle rules, encryption, notification
// configurations of the template are not applied either. A
// missing key answers 404 where S3 answers 403 to a caller who may not list.
//
// versitygw's posix backend addresses objects by paths relative to the working
// directory, and changes it for the whole process. So while a Gateway is up,
// the working directory is its data folder, and relative paths of anything
// else must be made absolute before Start. It is also why there can be one
// Gateway at a time in a process. Close puts the old directory back.
package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"

	"github.com/agequote/agequote/internal/local/samtemplate"
)

const (
	// operatorKey is the access key of the operator. It is the same at each
	// start because the buckets of a kept folder belong to it.
	operatorKey = "operator"

	maxConnections = 4096
	maxRequests    = 1024
	maxParts       = 10000 // of a multipart upload, S3's own limit
)

// Config says what to serve.
type Config struct {
	Dir     string // absolute; holds the data; made if it is not there
	Port    int    // 0: any free one
	Region  string
	Buckets []samtemplate.Bucket
	Roles   []Role
	Log     *slog.Logger // nil: slog.Default()

	// Created is called once for each object that is created, with one record
	// in the event, before the one who created it gets an answer. It must
	// return at once: others wait behind it. Nil: nobody is told.
	Created func(events.S3Event)

	Now    func() time.Time // of the events; nil: time.Now
	Secret func() string    // makes a secret key; nil: crypto/rand.Text
}

// Role is the user that stands for a function's role.
type Role struct {
	Name       string // its access key
	Statements []samtemplate.Statement
}

// Gateway is a running S3 server.
type Gateway struct {
	Endpoint string          // http://127.0.0.1:port
	Operator aws.Credentials // may do anything

	roles  map[string]aws.Credentials
	server *s3api.S3ApiServer
	posix  *posix.Posix
	served chan error // gets a value when nothing listens any more
	before string     // the working directory to go back to
	close  func() error

	requests sync.RWMutex // held for reading by each request
	closed   bool         // guarded by requests
}

// running is true while this process has a gateway.
var running atomic.Bool

// Start starts the server and returns when its buckets, users and policies are
// in place. A port that is taken is an error that errors.Is syscall.EADDRINUSE.
func Start(ctx context.Context, c Config) (_ *Gateway, err error) {
	if !running.CompareAndSwap(false, true) {
		return nil, errors.New("a local S3 server is running in this process already")
	}
	g := &Gateway{}
	g.close = sync.OnceValue(g.stop)
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Close())
		}
	}()

	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Secret == nil {
		c.Secret = rand.Text
	}
	if g.before, err = os.Getwd(); err != nil {
		return nil, fmt.Errorf("start S3: %w", err)
	}
	if g.posix, err = openStore(c.Dir); err != nil {
		return nil, fmt.Errorf("open S3 data folder: %w", err)
	}
	users := g.addUsers(c)
	if err := g.listen(ctx, c, users); err != nil {
		return nil, err
	}
	if err := g.provision(ctx, c); err != nil {
		return nil, err
	}
	return g, nil
}

// Role returns the credentials of a role, and whether there is such a role.
func (g *Gateway) Role(name string) (aws.Credentials, bool) {
	creds, ok := g.roles[name]
	return creds, ok
}

// Close stops the server, and waits until nothing listens any more and every
// request has its answer.
func (g *Gateway) Close() error { return g.close() }

func (g *Gateway) stop() error {
	defer running.Store(false)
	if g.server != nil {
		// ShutDown stops listening at once, but then waits seconds for
		// connections that were opened and never used. Nobody needs to: what
		// counts is that no request is at work, nor will be.
		go func(s *s3api.S3ApiServer) { _ = s.ShutDown() }(g.server)
		<-g.served // always an error: the listener is closed
		g.requests.Lock()
		g.closed = true
		g.requests.Unlock()
	}
	if g.posix != nil {
		g.posix.Shutdown()
	}
	if g.before == "" {
		return nil
	}
	if err := os.Chdir(g.before); err != nil {
		return fmt.Errorf("stop S3: %w", err)
	}
	return nil
}

// admit lets requests in until the gateway is closed.
func (g *Gateway) admit(ctx fiber.Ctx) error {
	g.requests.RLock()
	defer g.requests.RUnlock()
	if g.closed {
		return ctx.SendStatus(fiber.StatusServiceUnavailable)
	}
	return ctx.Next()
}

// openStore opens the folder that holds the objects, and beside it the one
// that holds their older versions.
func openStore(dir string) (*posix.Posix, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("folder %q is not absolute", dir)
	}
	objects, versions, sidecar := filepath.Join(dir, "objects"), filepath.Join(dir, "versions"), filepath.Join(dir, "attributes")
	for _, d := range []string{objects, versions} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	options := posix.PosixOpts{VersioningDir: versions}

	// Objects' attributes lie in the file system's where it has them; some,
	// such as those of container layers, have none.
	var attributes meta.MetadataStorer = meta.XattrMeta{}
	if (meta.XattrMeta{}).Test(objects) != nil {
		if err := os.MkdirAll(sidecar, 0o700); err != nil {
			return nil, err
		}
		store, err := meta.NewSideCar(sidecar)
		if err != nil {
			return nil, err
		}
		options.SideCarDir, attributes = sidecar, store
	}

	// posix.New prints lines to stdout, which belongs to our caller.
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	stdout := os.Stdout
	os.Stdout = null
	defer func() { os.Stdout = stdout }()
	return posix.New(objects, attributes, options)
}

// addUsers makes the credentials of the operator and the roles. They live in
// memory alone and are new at each start.
func (g *Gateway) addUsers(c Config) *users {
	g.Operator = aws.Credentials{AccessKeyID: operatorKey, SecretAccessKey: c.Secret()}
	g.roles = map[string]aws.Credentials{}
	u := &users{
		IAMService: auth.NewIAMServiceSingle(auth.Account{Access: operatorKey, Secret: g.Operator.SecretAccessKey, Role: auth.RoleAdmin}),
		accounts:   map[string]auth.Account{},
	}
	for _, r := range c.Roles {
		creds := aws.Credentials{AccessKeyID: r.Name, SecretAccessKey: c.Secret()}
		g.roles[r.Name] = creds
		u.accounts[r.Name] = auth.Account{Access: r.Name, Secret: creds.SecretAccessKey, Role: auth.RoleUser}
	}
	return u
}

// users is versitygw's identity service: a fixed list in memory. What it does
// not override, such as adding accounts, answers that it is not supported.
type users struct {
	auth.IAMService
	accounts map[string]auth.Account
}

// GetUserAccount returns the account with an access key.
func (u *users) GetUserAccount(access string) (auth.Account, error) {
	if a, ok := u.accounts[access]; ok {
		return a, nil
	}
	return auth.Account{}, auth.ErrNoSuchUser
}

// ResolveAccounts returns those of the access keys that nobody has.
func (u *users) ResolveAccounts(keys []string) ([]string, error) {
	var missing []string
	for _, k := range keys {
		if _, ok := u.accounts[k]; !ok {
			missing = append(missing, k)
		}
	}
	return missing, nil
}

// attempts to find a free port. The server binds a port by number only, so
// between finding one and binding it another process can take it.
const attempts = 5

func (g *Gateway) listen(ctx context.Context, c Config, u *users) error {
	for try := 1; ; try++ {
		port, err := choosePort(c.Port)
		if err != nil {
			return fmt.Errorf("listen for S3: %w", err)
		}
		err = g.serve(ctx, c, u, port)
		if err == nil {
			return nil
		}
		if c.Port != 0 || !errors.Is(err, syscall.EADDRINUSE) || try == attempts {
			return fmt.Errorf("listen for S3: %w", err)
		}
	}
}

// choosePort returns port if it is free, and any free one for 0.
func choosePort(port int) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// serve starts the server and waits until it listens.
func (g *Gateway) serve(ctx context.Context, c Config, u *users, port int) error {
	listening := make(chan struct{})
	sender := &eventSender{created: c.Created, now: c.Now, region: c.Region, store: g.posix, log: c.Log}
	server, err := s3api.New(store{g.posix},
		middlewares.RootUserConfig{Access: g.Operator.AccessKeyID, Secret: g.Operator.SecretAccessKey},
		c.Region, u, nil, nil, sender, nil,
		s3api.WithConcurrencyLimiter(maxConnections, maxRequests),
		s3api.WithMpMaxParts(maxParts),
		s3api.WithKeepAlive(),
		s3api.WithQuiet(),
		s3api.WithMiddleware("/", g.admit),
		s3api.WithOnListen(func() { close(listening) }),
	)
	if err != nil {
		return err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	served := make(chan error, 1)
	go func() { served <- server.ServeMultiPort([]string{address}) }()
	select {
	case err := <-served:
		return err
	case <-listening:
	case <-ctx.Done():
		return errors.Join(ctx.Err(), server.ShutDown(), <-served)
	}
	g.server, g.served, g.Endpoint = server, served, "http://"+address
	return nil
}
