package jobs

import (
	"errors"
	"fmt"

	"cloister/appliance/fault"
	"cloister/lora/train"
	"cloister/store"
)

// teacher checks the model that a job is to learn from, and notes it in the job.
func (m *Manager) teacher(job *store.Job, req CreateRequest) error {
	h := req.Hyper
	switch {
	case req.Teacher == "" && req.TeacherPath == "":
		if h.Temperature != 0 || h.DistillAlpha != 0 || h.TopK != 0 {
			return fault.New(fault.Invalid, "", "teacher", "distill_temperature, distill_alpha and distill_top_k have a meaning only with a teacher, and the request names none.")
		}
		return nil
	case req.Teacher != "" && req.TeacherPath != "":
		return fault.New(fault.Invalid, "", "teacher", "The request names a teacher and a file of one; give one of them.")
	case h.Method == "dpo" || h.Method == "kto":
		return fault.New(fault.Invalid, "", "teacher", "The method %s learns from people's preferences; a teacher goes with the method supervised.", h.Method)
	}
	path := req.TeacherPath
	if req.Teacher != "" {
		resolved, err := m.models.Resolve(req.Teacher)
		if err != nil {
			return fault.New(fault.Invalid, "model_not_found", "teacher", "There is no model %q to learn from.", req.Teacher).WithHint("cloister model list").Wrap(err)
		}
		if a := resolved.Adapter; a != nil {
			job.TeacherAdapter = a.Name
		}
		job.Teacher, path = resolved.Base.Name, m.models.Path(resolved.Base.Path)
	}
	job.TeacherPath = req.TeacherPath
	student, err := m.st.BaseModel(job.Base)
	if err != nil {
		return err
	}
	if err := train.SameVocabulary(m.models.Path(student.Path), path); err != nil {
		return fault.New(fault.Invalid, "", "teacher", "%q cannot be learnt from: %s.", req.Teacher+req.TeacherPath, err).Wrap(err)
	}
	return nil
}

// teacherFiles are those of a job's teacher; failed says that one is gone.
func (m *Manager) teacherFiles(job store.Job, req *train.Request) (failed *store.JobError, err error) {
	gone := func(name string) *store.JobError {
		return &store.JobError{Code: "model_not_found", Param: "teacher", Message: fmt.Sprintf("The teacher %q has been removed.", name)}
	}
	req.TeacherPath = job.TeacherPath
	if job.Teacher == "" {
		return nil, nil
	}
	base, err := m.st.BaseModel(job.Teacher)
	if errors.Is(err, store.ErrNotFound) {
		return gone(job.Teacher), nil
	}
	if err != nil {
		return nil, err
	}
	req.TeacherPath = m.models.Path(base.Path)
	if job.TeacherAdapter == "" {
		return nil, nil
	}
	adapter, err := m.st.Adapter(job.TeacherAdapter)
	if errors.Is(err, store.ErrNotFound) {
		return gone(job.TeacherAdapter), nil
	}
	req.TeacherAdapter = m.models.Path(adapter.Path)
	return nil, err
}
