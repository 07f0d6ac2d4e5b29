package bench

// PlanModel is what WriteModel would write.
func PlanModel(c ModelConfig) (ModelReport, error) {
	w, err := c.plan()
	if err != nil {
		return ModelReport{}, err
	}
	return w.report, nil
}
