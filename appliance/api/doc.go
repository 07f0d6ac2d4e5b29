// Package api is the HTTP face of the appliance: OpenAI's routes for models,
// chat, files and fine-tuning (with and without /v1), the simple routes
// POST /api/chat and POST /v1/feedback, and Cloister's own routes under /admin.
//
// A handler parses, calls one service and formats. The services are interfaces
// of this package (services.go); appliance's other packages implement them. A
// handler returns its error, and errors.go alone decides what a client sees of
// it. Texts of requests and answers never reach the log.
//
// A Server is safe for concurrent use and owns nothing that must be closed:
// the services outlive it.
package api
