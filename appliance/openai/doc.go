// Package openai holds the wire types of OpenAI's HTTP API as clients really
// use it: chat completions, models, files and fine-tuning. It has types and
// their JSON only; no rule about values, no HTTP and nothing of the appliance.
// The specification is OpenAI's OpenAPI document 2.3.0; the responses are
// checked against its schemas in the tests of package api.
//
// Rules of the wire that the types carry: null in a request means absent,
// unknown fields are ignored, times are whole Unix seconds, and a field that
// the specification calls required is written even when it is null.
package openai
