package jobs

import (
	"errors"
	"fmt"

	"cloister/appliance/fault"
	"cloister/lora/train"
	"cloister/store"
)

// teacher checks the model that a job is to learn from, and returns its name if
// it is one of the appliance's.
func (m *Manager) teacher(req CreateRequest, base string) (string, error) {
	h := req.Hyper
	switch {
	case req.Teacher == "" && req.TeacherPath == "":
		if h.Temperature != 0 || h.DistillAlpha != 0 || h.TopK != 0 {
			return "", fault.New(fault.Invalid, "", "teacher", "distill_temperature, distill_alpha and distill_top_k have a meaning only with a teacher, and the request names none.")
		}
		return "", nil
	case req.Teacher != "" && req.TeacherPath != "":
		return "", fault.New(fault.Invalid, "", "teacher", "The request names a teacher and a file of one; give one of them.")
	case h.Method == "dpo" || h.Method == "kto":
		return "", fault.New(fault.Invalid, "", "teacher", "The method %s learns from people's preferences; a teacher goes with the method supervised.", h.Method)
	}
	name, path := "", req.TeacherPath
	if req.Teacher != "" {
		resolved, err := m.models.Resolve(req.Teacher)
		if err != nil {
			return "", fault.New(fault.Invalid, "model_not_found", "teacher", "There is no model %q to learn from.", req.Teacher).WithHint("cloister model list").Wrap(err)
		}
		if resolved.Adapter != nil {
			return "", fault.New(fault.Invalid, "", "teacher", "%q is a tuned model, and a teacher is one file; merge it into a base model first.", req.Teacher).WithHint("cloister model merge")
		}
		name, path = resolved.Base.Name, m.models.Path(resolved.Base.Path)
	}
	student, err := m.st.BaseModel(base)
	if err != nil {
		return "", err
	}
	if err := train.SameVocabulary(m.models.Path(student.Path), path); err != nil {
		return "", fault.New(fault.Invalid, "", "teacher", "%q cannot be learnt from: %s.", req.Teacher+req.TeacherPath, err).Wrap(err)
	}
	return name, nil
}

// teacherPath is the file of a job's teacher; failed says that it is gone.
func (m *Manager) teacherPath(job store.Job) (path string, failed *store.JobError, err error) {
	if job.Teacher == "" {
		return job.TeacherPath, nil, nil
	}
	base, err := m.st.BaseModel(job.Teacher)
	if errors.Is(err, store.ErrNotFound) {
		return "", &store.JobError{Code: "model_not_found", Param: "teacher", Message: fmt.Sprintf("The teacher %q has been removed.", job.Teacher)}, nil
	}
	return m.models.Path(base.Path), nil, err
}
