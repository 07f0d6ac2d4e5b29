package api

import (
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Config is what the routes need to know.
type Config struct {
	Version string // of the program
	Home    string // data directory
	Listen  string // HOST:PORT, or empty
	Sealed  bool   // the process has given up new connections
	// Origins are web origins, such as "https://chat.example.org", whose pages
	// may use the API beside those of this machine; "*" means all.
	Origins []string
	// MaxFile bounds an uploaded file, bytes; 0: 512 MiB, as OpenAI has it.
	MaxFile int64
	// MaskAnswers masks what models say, with labels, before anybody sees it.
	MaskAnswers bool
	// Shutdown stops the appliance; it returns at once.
	Shutdown func()
}

// Services are the parts behind the routes. All but Recorder are needed;
// without it answers are not kept and cannot be rated.
type Services struct {
	Recorder  Recorder
	Models    Models
	Datasets  Datasets
	Masking   Masking
	Jobs      Jobs
	Estimator Estimator
	Evaluator Evaluator
	Answerer  Answerer
	Releases  Releases
	Feedback  Feedback
	Bundles   Bundles
	Site      Site
	Store     Store
}

// defaultMaxFile is OpenAI's bound of a file.
const defaultMaxFile = 512 << 20

// Server serves the routes.
type Server struct {
	config  Config
	log     *slog.Logger
	started time.Time
	Services
	idempotent idempotency
}

// New returns a Server.
func New(c Config, services Services, log *slog.Logger) *Server {
	if c.MaxFile == 0 {
		c.MaxFile = defaultMaxFile
	}
	if c.Shutdown == nil {
		c.Shutdown = func() {}
	}
	return &Server{config: c, log: log, started: time.Now().UTC(), Services: services}
}

// Handler serves TCP: keys and origins are checked.
func (s *Server) Handler() http.Handler {
	return s.observe(s.origins(tidyPath(s.routes(s.authenticate))))
}

// ControlHandler serves the control socket, whose file permissions decide who
// may connect: every caller is the owner.
func (s *Server) ControlHandler() http.Handler {
	everyone := func(*http.Request) (principal, error) { return local, nil }
	return s.observe(tidyPath(s.routes(everyone)))
}

// route is a line of the table of routes.
type route struct {
	pattern string // method and path, as in http.ServeMux
	needs   role
	handle  handler
}

// openaiRoutes stand below /v1 and, for clients whose base URL lacks it, at
// the root. Names of models may hold slashes, so they take the rest of a path.
func (s *Server) openaiRoutes() []route {
	return []route{
		{"GET /models", roleUser, s.listModels},
		{"GET /models/{model...}", roleUser, s.getModel},
		{"DELETE /models/{model...}", roleTrainer, s.deleteModel},
		{"POST /chat/completions", roleUser, s.chatCompletions},
		{"POST /engines/{engine}/chat/completions", roleUser, s.chatCompletions},

		{"POST /files", roleTrainer, s.createFile},
		{"GET /files", roleTrainer, s.listFiles},
		{"GET /files/{id}", roleTrainer, s.getFile},
		{"GET /files/{id}/content", roleTrainer, s.getFileContent},
		{"DELETE /files/{id}", roleTrainer, s.deleteFile},

		{"POST /fine_tuning/jobs", roleTrainer, s.createJob},
		{"GET /fine_tuning/jobs", roleTrainer, s.listJobs},
		{"GET /fine_tuning/jobs/{id}", roleTrainer, s.getJob},
		{"POST /fine_tuning/jobs/{id}/cancel", roleTrainer, s.cancelJob},
		{"GET /fine_tuning/jobs/{id}/events", roleTrainer, s.listEvents},
		{"GET /fine_tuning/jobs/{id}/checkpoints", roleTrainer, s.listCheckpoints},

		{"/fine-tunes", rolePublic, oldFineTunes},
		{"/fine-tunes/{rest...}", rolePublic, oldFineTunes},

		{"POST /feedback", roleUser, s.addFeedback},
	}
}

// ownRoutes are Cloister's own.
func (s *Server) ownRoutes() []route {
	return []route{
		{"GET /health", rolePublic, health},
		{"POST /api/chat", roleUser, s.simpleChat},

		{"GET /admin/status", roleAdmin, s.adminStatus},
		{"POST /admin/check", roleAdmin, s.adminCheck},
		{"POST /admin/shutdown", roleAdmin, s.adminShutdown},
		{"GET /admin/audit", roleAdmin, s.adminAudit},

		{"GET /admin/models", roleAdmin, s.adminModels},
		{"POST /admin/models", roleAdmin, s.adminImportModel},
		{"POST /admin/adapters", roleAdmin, s.adminImportAdapter},
		{"DELETE /admin/models/{name...}", roleAdmin, s.adminRemoveModel},
		{"GET /admin/models/{name...}", roleAdmin, s.adminModel},

		{"GET /admin/datasets", roleAdmin, s.adminDatasets},
		{"POST /admin/datasets", roleAdmin, s.adminImportDataset},
		{"GET /admin/datasets/{name}", roleAdmin, s.adminDataset},
		{"DELETE /admin/datasets/{name}", roleAdmin, s.adminRemoveDataset},
		{"GET /admin/datasets/{name}/versions/{version}", roleAdmin, s.adminVersion},
		{"GET /admin/datasets/{name}/versions/{version}/export", roleAdmin, s.adminExport},
		{"GET /admin/datasets/{name}/versions/{version}/proposals", roleAdmin, s.adminProposals},
		{"GET /admin/datasets/{name}/versions/{version}/risk", roleAdmin, s.adminRisk},
		{"GET /admin/datasets/{name}/versions/{version}/review", roleAdmin, s.adminReview},
		{"POST /admin/datasets/{name}/versions/{version}/decisions", roleAdmin, s.adminDecide},

		{"GET /admin/datasets/{name}/versions/{version}/policy", roleAdmin, s.adminPolicy},
		{"POST /admin/mask", roleAdmin, s.adminMask},
		{"POST /admin/unmask", roleAdmin, s.adminUnmask},

		{"POST /admin/answers", roleAdmin, s.adminAnswer},
		{"POST /admin/estimate", roleAdmin, s.adminEstimate},
		{"POST /admin/jobs", roleAdmin, s.adminTune},
		{"GET /admin/jobs", roleAdmin, s.adminJobs},
		{"GET /admin/jobs/{id}", roleAdmin, s.adminJob},
		{"POST /admin/jobs/{id}/cancel", roleAdmin, s.adminCancelJob},
		{"GET /admin/jobs/{id}/follow", roleAdmin, s.adminFollowJob},

		{"POST /admin/evaluations", roleAdmin, s.adminEvaluate},
		{"GET /admin/evaluations", roleAdmin, s.adminEvaluations},
		{"POST /admin/deploy", roleAdmin, s.adminDeploy},
		{"POST /admin/rollback", roleAdmin, s.adminRollback},
		{"GET /admin/releases", roleAdmin, s.adminReleases},
		{"GET /admin/gate", roleAdmin, s.adminGate},
		{"POST /admin/gate", roleAdmin, s.adminChangeGate},

		{"GET /admin/feedback", roleAdmin, s.adminFeedback},
		{"GET /admin/feedback/report", roleAdmin, s.adminFeedbackReport},
		{"POST /admin/feedback/import", roleAdmin, s.adminImportFeedback},
		{"POST /admin/feedback/apply", roleAdmin, s.adminApplyFeedback},

		{"POST /admin/bundles/export", roleAdmin, s.adminExportBundle},
		{"POST /admin/bundles/import", roleAdmin, s.adminImportBundle},
		{"POST /admin/bundles/verify", roleAdmin, s.adminVerifyBundle},
		{"GET /admin/site/key", roleAdmin, s.adminSite},
		{"POST /admin/site/key", roleAdmin, s.adminMakeKey},
		{"POST /admin/site/sign", roleAdmin, s.adminSign},
		{"GET /admin/site/trusted", roleAdmin, s.adminTrusted},
		{"POST /admin/site/trusted", roleAdmin, s.adminTrust},
		{"DELETE /admin/site/trusted/{name}", roleAdmin, s.adminDistrust},

		{"GET /admin/keys", roleAdmin, s.adminKeys},
		{"POST /admin/keys", roleAdmin, s.adminAddKey},
		{"DELETE /admin/keys/{id}", roleAdmin, s.adminRemoveKey},
	}
}

// routes builds the mux and returns the handler that finds a route, asks who
// calls, and runs it.
func (s *Server) routes(authenticate func(*http.Request) (principal, error)) handler {
	mux := http.NewServeMux()
	add := func(prefix string, r route) {
		method, path, ok := strings.Cut(r.pattern, " ")
		if ok {
			r.pattern = method + " " + prefix + path
		} else {
			r.pattern = prefix + r.pattern
		}
		mux.Handle(r.pattern, &endpoint{route: r, authenticate: authenticate, refused: s.refused})
	}
	for _, r := range s.openaiRoutes() {
		add("/v1", r)
		add("", r)
	}
	for _, r := range s.ownRoutes() {
		add("", r)
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		found, pattern := mux.Handler(r)
		if pattern == "" {
			return noRoute(found, r)
		}
		mux.ServeHTTP(w, r) // sets the values of the path, which Handler does not
		return callOf(r.Context()).err
	}
}

// endpoint is a route in the mux. Its error goes back through the call.
type endpoint struct {
	route
	authenticate func(*http.Request) (principal, error)
	refused      func(r *http.Request, pattern string)
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	c.route = e.pattern
	c.err = e.serve(c, w, r)
}

func (e *endpoint) serve(c *call, w http.ResponseWriter, r *http.Request) error {
	if e.needs > rolePublic {
		who, err := e.authenticate(r)
		if err != nil {
			return err
		}
		c.who = who
		if err := authorize(who, e.needs); err != nil {
			if e.needs == roleAdmin {
				e.refused(r, e.pattern)
			}
			return err
		}
	}
	return e.handle(w, r)
}

// noRoute says why the mux found nothing: a wrong method or a wrong path.
func noRoute(answer http.Handler, r *http.Request) error {
	probe := &statusOnly{header: http.Header{}}
	answer.ServeHTTP(probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		return &failure{status: http.StatusMethodNotAllowed, kind: typeInvalid, code: "method_not_supported",
			message: "Not allowed to " + r.Method + " on " + r.URL.Path + " (allowed: " + probe.header.Get("Allow") + ")."}
	}
	return &failure{status: http.StatusNotFound, kind: typeInvalid, code: "unknown_url",
		message: "Invalid URL (" + r.Method + " " + r.URL.Path + ")"}
}

// statusOnly is a ResponseWriter that keeps the status and the header.
type statusOnly struct {
	header http.Header
	status int
}

func (w *statusOnly) Header() http.Header         { return w.header }
func (w *statusOnly) Write(p []byte) (int, error) { return len(p), nil }
func (w *statusOnly) WriteHeader(status int)      { w.status = status }
