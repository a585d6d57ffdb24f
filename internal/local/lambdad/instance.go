package lambdad

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// initTimeout is what Lambda grants an instance before its first event.
	initTimeout = 10 * time.Second

	// memoryLook is how often an instance's memory is read. The reading is a
	// peak, so what happens between two looks is not missed, only seen later.
	memoryLook = 20 * time.Millisecond

	// pipeWait is how long the end of a process waits for what its children
	// still print.
	pipeWait = 200 * time.Millisecond
)

// instance is one process of a function. It handles one event at a time.
type instance struct {
	id       string
	server   *Server
	function *function
	cmd      *exec.Cmd
	pid      atomic.Int64 // and the process group's; 0 before and after its life

	ready  chan struct{}    // the process asks for an event
	events chan *invocation // to the process that asks
	exited chan struct{}    // closed when the process is gone and reaped

	overMemory atomic.Bool

	mu        sync.Mutex
	current   *invocation
	initError []byte // what the process said before it gave up, if it did
}

// invocation is an event in the hands of an instance.
type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	answer   chan outcome // holds one, so that answering never blocks
}

// startInstance starts a process and waits until it asks for its first event.
func (s *Server) startInstance(f *function, requestID string) (*instance, outcome) {
	in := &instance{
		id:       s.cfg.NewID(),
		server:   s,
		function: f,
		ready:    make(chan struct{}),
		events:   make(chan *invocation),
		exited:   make(chan struct{}),
	}
	if err := in.start(); err != nil {
		if s.alive.Err() == nil {
			s.cfg.Log.Error("start function", "function", f.Name, "err", err)
		}
		return nil, failure("Runtime.InvalidEntrypoint", requestID, "the bootstrap could not be started")
	}

	timer := time.NewTimer(initTimeout + f.Timeout) // Lambda tries a slow init once more, within the timeout
	defer timer.Stop()
	select {
	case <-in.ready:
		return in, outcome{}
	case <-in.exited:
	case <-timer.C:
		in.kill()
		<-in.exited
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.initError != nil {
		return nil, outcome{payload: in.initError, failure: errorType(in.initError)}
	}
	return nil, in.death(requestID)
}

// start starts the process and registers the instance.
func (in *instance) start() error {
	s, f := in.server, in.function
	cmd := exec.CommandContext(s.alive, filepath.Join(f.Dir, "bootstrap"))
	cmd.Dir = f.Dir
	cmd.Env = in.environment()
	cmd.SysProcAttr = processAttributes()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = pipeWait
	printed := &lineWriter{prefix: f.Name + ": ", to: s.cfg.FunctionLog, lock: &s.logLock}
	cmd.Stdout, cmd.Stderr = printed, printed // the same value: one pipe, so lines keep their order
	in.cmd = cmd

	// Registered first, because the process calls before start returns.
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return s.alive.Err()
	}
	s.instances[in.id] = in
	started := make(chan error, 1)
	s.work.Go(func() { in.supervise(started, printed) })
	s.mu.Unlock()

	if err := <-started; err != nil {
		s.forget(in)
		return fmt.Errorf("start process: %w", err)
	}
	return nil
}

// supervise starts the process, limits its memory and reaps it.
func (in *instance) supervise(started chan<- error, printed *lineWriter) {
	// Linux sends the parent-death signal when the thread that forked ends,
	// so this thread must live as long as the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	if err := in.cmd.Start(); err != nil {
		started <- err
		return
	}
	in.pid.Store(int64(in.cmd.Process.Pid))
	started <- nil

	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { in.watchMemory(stop) })
	_ = in.cmd.Wait() // how the process ended is in cmd.ProcessState
	close(stop)
	watching.Wait()

	in.kill() // children that outlived the process
	in.pid.Store(0)
	printed.flush()
	in.server.forget(in)
	close(in.exited)
}

func (in *instance) watchMemory(stop <-chan struct{}) {
	ticker := time.NewTicker(memoryLook)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			in.limitMemory()
		}
	}
}

// limitMemory kills the process if it ever held more resident memory than the
// function has, and tells whether it did.
func (in *instance) limitMemory() bool {
	peak, ok := peakMemory(in.pid.Load())
	limit := int64(in.function.MemoryMB) << 20
	if !ok || peak <= limit {
		return in.overMemory.Load()
	}
	if in.overMemory.CompareAndSwap(false, true) {
		in.server.cfg.Log.Warn("function ran out of memory and was killed", "function", in.function.Name,
			"memory_mb", in.function.MemoryMB, "used_mb", peak>>20)
	}
	in.kill()
	return true
}

// kill ends the process and its children, which share its process group.
func (in *instance) kill() {
	if pid := in.pid.Load(); pid != 0 {
		_ = syscall.Kill(-int(pid), syscall.SIGKILL) // nothing to do where all are gone
	}
}

// invoke hands the request to the process and waits for its answer and until
// the process asks for more. It returns the outcome and whether the instance
// can take another.
func (in *instance) invoke(r *request) (out outcome, alive bool) {
	timeout := in.function.Timeout
	inv := &invocation{
		id:       r.id,
		payload:  r.payload,
		deadline: in.server.cfg.Now().Add(timeout),
		answer:   make(chan outcome, 1),
	}
	in.setCurrent(inv)
	defer in.setCurrent(nil)
	timer := time.NewTimer(timeout)
	defer timer.Stop()

	select {
	case in.events <- inv:
	case <-in.exited:
		return in.death(r.id), false
	case <-timer.C:
		return in.timedOut(r.id), false
	}

	select {
	case out = <-inv.answer:
	case <-in.exited:
		select { // it may have answered with its last breath, as after a panic
		case out = <-inv.answer:
			return out, false
		default:
			return in.death(r.id), false
		}
	case <-timer.C:
		return in.timedOut(r.id), false
	}

	if in.limitMemory() {
		<-in.exited
		return in.death(r.id), false
	}
	select {
	case <-in.ready:
		return out, true
	case <-in.exited:
	case <-timer.C:
		in.kill()
		<-in.exited
	}
	return out, false
}

func (in *instance) timedOut(requestID string) outcome {
	in.kill()
	<-in.exited
	return failure("Sandbox.Timedout", requestID,
		fmt.Sprintf("Task timed out after %.2f seconds", in.function.Timeout.Seconds()))
}

// death describes the end of the process, which must be over.
func (in *instance) death(requestID string) outcome {
	state := in.cmd.ProcessState
	switch {
	case in.overMemory.Load():
		return failure("Runtime.OutOfMemory", requestID, "Runtime exited with error: signal: killed")
	case state.Success():
		return failure("Runtime.ExitError", requestID, "Runtime exited without providing a reason")
	}
	return failure("Runtime.ExitError", requestID, "Runtime exited with error: "+state.String())
}

func (in *instance) setCurrent(inv *invocation) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.current = inv
}

// environment is the function's own and what Lambda reserves, which wins.
// Nothing of the server's environment is passed on.
func (in *instance) environment() []string {
	f := in.function
	return append(append([]string{}, f.Env...),
		"AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(in.server.endpoint, "http://")+instancePath+in.id,
		"AWS_LAMBDA_FUNCTION_NAME="+f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION="+latest,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE="+strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/"+f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME="+in.id,
		"AWS_ENDPOINT_URL_LAMBDA="+in.server.endpoint,
		"LAMBDA_TASK_ROOT="+f.Dir,
		"LD_LIBRARY_PATH="+f.Dir+":"+filepath.Join(f.Dir, "lib"),
		"_HANDLER=bootstrap",
		"LANG=en_US.UTF-8",
		"TZ=:UTC",
		"PATH=/usr/local/bin:/usr/bin:/bin:/opt/bin",
		// Lambda has no such files. Without these two the SDK would find the
		// ones of the person at this machine.
		"AWS_CONFIG_FILE="+os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
	)
}
