// Package appliance puts the parts together: it opens the data directory,
// starts the services in the order in which they need each other, serves the
// API and the control socket, and stops everything in the reverse order.
//
// No native code runs in this process: engines and trainers are children, by
// package engine. The data directory is used by one Appliance at a time.
package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"cloister/appliance/airgap"
	"cloister/appliance/answer"
	"cloister/appliance/api"
	"cloister/appliance/bundle"
	"cloister/appliance/carried"
	"cloister/appliance/datasets"
	"cloister/appliance/engine"
	"cloister/appliance/estimate"
	"cloister/appliance/evaluate"
	"cloister/appliance/feedback"
	"cloister/appliance/jobs"
	"cloister/appliance/masking"
	"cloister/appliance/models"
	"cloister/appliance/release"
	"cloister/appliance/secondpass"
	"cloister/appliance/site"
	"cloister/store"
)

// grace is how long running answers may go on when the appliance stops.
const grace = 20 * time.Second

// answerAge is how long served answers are kept for ratings.
const answerAge = 90 * 24 * time.Hour

// Appliance is a running set of services over one data directory.
type Appliance struct {
	config Config
	st     *store.Store
	models *models.Registry
	jobs   *jobs.Manager

	control, public net.Listener // public is nil without Config.Listen
	inside          *airgap.Inside
	sealed          bool
	servers         []*http.Server

	stop     chan struct{} // closed by the first Shutdown
	stopOnce sync.Once
}

// New opens the data directory and the listeners, and resumes the jobs that
// were under way, unless Config.Idle is set. Run serves. Close the Appliance if New succeeded. The error
// wraps store.ErrInUse when another process has the data directory.
func New(c Config) (*Appliance, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Home, 0o700); err != nil {
		return nil, err
	}
	if err := c.ownHome(); err != nil {
		return nil, err
	}
	key, err := c.masterKey()
	if err != nil {
		return nil, err
	}
	st, err := store.Open(filepath.Join(c.Home, "store"), key)
	if err != nil {
		return nil, err
	}
	a := &Appliance{config: c, st: st, inside: airgap.NewInside(), stop: make(chan struct{})}
	if err := a.start(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// start builds the services and begins to listen.
func (a *Appliance) start() error {
	c := a.config
	mask, err := masking.New(a.st)
	if err != nil {
		return err
	}
	if c.Pack != nil {
		if err := carried.Bring(a.st, c.Home, mask, c.Pack, c.Log); err != nil {
			return err
		}
	}
	a.models = models.New(a.st, a.startEngine, models.Config{
		Map: c.Map, Default: c.Default, Org: c.Org, Home: c.Home, Self: c.self(), WhileTraining: c.WhileTraining, Log: c.Log,
	})
	trainer := engine.ChildTrainer{Exe: c.worker("train")}
	data := datasets.New(a.st, mask)
	data.SecondPass = func(ctx context.Context, model string) (datasets.Reader, error) {
		return secondpass.Open(ctx, a.models, model)
	}
	a.jobs = jobs.New(a.st, trainer, a.models, data, jobs.Config{
		Home: c.Home, Threads: c.Threads, Device: c.TrainDevice, LiteralMultiplier: c.LiteralMultiplier, Room: a.makeRoom(trainer.Plan),
	})
	ratings := feedback.New(a.st, mask)
	if err := a.listen(); err != nil {
		return err
	}
	if err := a.seal(); err != nil {
		return err
	}
	who := site.New(a.st)
	bundles, err := bundle.New(a.st, a.models, who, c.Home, c.Version)
	if err != nil {
		return err
	}
	server := api.New(api.Config{Version: c.Version, Home: c.Home, Listen: a.Addr(), Sealed: a.sealed, Origins: c.Origins, MaskAnswers: c.MaskAnswers, Shutdown: a.Shutdown}, api.Services{
		Recorder: ratings, Models: a.models, Datasets: data, Masking: mask, Jobs: a.jobs,
		Estimator: estimate.New(a.jobs, trainer.Estimate, c.Home),
		Answerer:  answer.New(a.models, data),
		Evaluator: evaluate.New(a.st, a.models, mask, c.Home), Releases: release.New(a.st, a.models), Feedback: ratings, Bundles: bundles, Site: who, Store: a.st,
	}, c.Log)
	a.serve(a.control, server.ControlHandler())
	a.serve(a.inside, server.ControlHandler())
	if a.public != nil {
		a.serve(a.public, server.Handler())
	}
	if _, err := a.st.PurgeAnswers(time.Now().Add(-answerAge)); err != nil {
		return err
	}
	if c.Idle {
		return nil
	}
	return a.jobs.Start()
}

// listen opens the control socket and, if wanted, the API's address.
func (a *Appliance) listen() (err error) {
	if a.control, err = listenControl(a.config.Home); err != nil {
		return err
	}
	if a.config.Listen == "" {
		return nil
	}
	if a.public, err = listenPublic(a.config.Listen); err != nil {
		return fmt.Errorf("cannot listen on %s: %w", a.config.Listen, err)
	}
	keys, err := a.st.Keys()
	if err != nil {
		return err
	}
	if len(keys) == 0 && !loopback(a.public.Addr()) {
		return fmt.Errorf("%w: %s", ErrNoKeys, a.config.Listen)
	}
	return nil
}

// seal gives up the network, when everything listens and nothing is served yet.
func (a *Appliance) seal() error {
	if a.config.Ready != nil {
		if err := a.config.Ready(); err != nil {
			return err
		}
	}
	if !a.config.Seal {
		return nil
	}
	err := airgap.Seal()
	a.sealed = err == nil
	if err != nil && a.config.RequireAirgap {
		return fmt.Errorf("--require-airgap: %w", err)
	}
	if err != nil {
		a.config.Log.Warn("this process and its workers can still make connections; nothing in them does", "error", err)
	}
	return nil
}

// Dial connects to the control API from inside this process, which has no other
// way to it once it is sealed.
func (a *Appliance) Dial(ctx context.Context) (net.Conn, error) { return a.inside.Dial(ctx) }

// serve starts an HTTP server. Answers may take as long as they want; headers may not.
func (a *Appliance) serve(l net.Listener, h http.Handler) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(a.config.Log.Handler(), slog.LevelWarn)}
	a.servers = append(a.servers, srv)
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.config.Log.Error("the listener failed", "address", l.Addr().String(), "error", err)
			a.Shutdown()
		}
	}()
}

// Addr is the address that the API listens on, "" without one.
func (a *Appliance) Addr() string {
	if a.public == nil {
		return ""
	}
	return a.public.Addr().String()
}

// Shutdown asks Run to end. It returns at once.
func (a *Appliance) Shutdown() { a.stopOnce.Do(func() { close(a.stop) }) }

// Run serves until ctx ends or Shutdown is called, and closes the appliance.
func (a *Appliance) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-a.stop:
	}
	return a.Close()
}

// Close lets running answers end, stops the running job at a checkpoint, ends
// the workers and closes the store.
func (a *Appliance) Close() error {
	a.Shutdown()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	var all []error
	// The job first: those who follow it get its last event and hang up.
	if a.jobs != nil {
		all = append(all, a.jobs.Close())
	}
	for _, srv := range a.servers {
		if err := srv.Shutdown(ctx); err != nil {
			_ = srv.Close()
		}
	}
	for _, l := range []net.Listener{a.control, a.public, a.inside} {
		if l != nil {
			_ = l.Close() // the servers have closed theirs
		}
	}
	if a.models != nil {
		all = append(all, a.models.Close())
	}
	return errors.Join(append(all, a.st.Close())...)
}
