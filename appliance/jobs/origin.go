package jobs

import (
	"path/filepath"

	"cloister/appliance/fault"
	"cloister/lora/train"
)

// origin is where a job's training starts: a base model, and the name of the
// adapter that it continues from, if that has one.
type origin struct{ model, base, adapter string }

// origin finds what a request starts from. A model with an adapter is trained
// on; so is that of From.
func (m *Manager) origin(req CreateRequest) (origin, error) {
	if req.From != "" && req.InitPath != "" {
		return origin{}, fault.New(fault.Invalid, "", "init", "The request names a model to continue from and an adapter file; give one of them.")
	}
	model := req.Model
	if model == "" && req.From != "" {
		model = req.From
	}
	resolved, err := m.models.Resolve(model)
	if err != nil {
		return origin{}, err
	}
	out := origin{model: model, base: resolved.Base.Name}
	if resolved.Adapter != nil {
		out.adapter = resolved.Adapter.Name
	}
	if req.From != "" {
		from, err := m.models.Resolve(req.From)
		switch {
		case err != nil:
			return origin{}, fault.New(fault.Invalid, "model_not_found", "from", "There is no model %q to continue from.", req.From).WithHint("cloister model list").Wrap(err)
		case from.Adapter == nil:
			return origin{}, fault.New(fault.Invalid, "", "from", "%q is a base model; training continues from a tuned model or a checkpoint. Name a base as the model.", req.From)
		case from.Base.Name != out.base:
			return origin{}, fault.New(fault.Invalid, "", "from", "%q was trained on %q, and this job trains on %q.", req.From, from.Base.Name, out.base)
		case out.adapter != "" && out.adapter != from.Adapter.Name:
			return origin{}, fault.New(fault.Invalid, "", "from", "The model %q has an adapter of its own; give it or %q.", model, req.From)
		}
		out.adapter = from.Adapter.Name
	}
	return out, checkFiles(req, out)
}

// checkFiles refuses files that cannot be what they are named for.
func checkFiles(req CreateRequest, o origin) error {
	for param, path := range map[string]string{"init": req.InitPath, "dump_gradients": req.DumpPath, "teacher": req.TeacherPath} {
		if path != "" && !filepath.IsAbs(path) {
			return fault.New(fault.Invalid, "", param, "The path %q is not absolute.", path)
		}
	}
	if req.InitPath == "" {
		return nil
	}
	if o.adapter != "" {
		return fault.New(fault.Invalid, "", "init", "The model %q has an adapter of its own; with a file to start from, name its base %q.", o.model, o.base)
	}
	if _, err := train.ReadAdapter(req.InitPath); err != nil {
		return fault.New(fault.Invalid, "", "init", "Training cannot start from this file: %s.", err).Wrap(err)
	}
	return nil
}
