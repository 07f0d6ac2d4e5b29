package pii

import "sync"

// secretPrefix begins the keys of a service.
type secretPrefix struct {
	prefix string
	least  int // number of further characters
}

// secretPrefixes are those of well-known services, after the rules of gitleaks
// 8.30 (MIT licence).
var secretPrefixes = []secretPrefix{
	// models
	{"sk-", 20}, {"sk-ant-", 20}, {"hf_", 30}, {"api_org_", 30}, {"pplx-", 40}, {"gsk_", 40}, {"r8_", 30}, {"xai-", 40},
	// payment
	{"sk_live_", 16}, {"sk_test_", 16}, {"rk_live_", 16}, {"rk_test_", 16}, {"pk_live_", 16}, {"whsec_", 20}, {"sq0atp-", 20},
	{"sq0csp-", 40}, {"EAAA", 56}, {"shippo_live_", 30}, {"shippo_test_", 30}, {"FLWSECK", 20}, {"test_sk_", 20}, {"live_sk_", 20},
	// code and packages
	{"ghp_", 30}, {"gho_", 30}, {"ghu_", 30}, {"ghs_", 30}, {"ghr_", 30}, {"github_pat_", 30}, {"glpat-", 18}, {"gldt-", 18},
	{"glrt-", 18}, {"glptt-", 30}, {"glcbt-", 18}, {"glsoat-", 18}, {"npm_", 30}, {"pypi-", 40}, {"rubygems_", 40}, {"oy2", 40},
	{"CLOJARS_", 50}, {"ATATT3", 100}, {"ATCTT3", 100}, {"sntrys_", 40}, {"sntryu_", 40}, {"sgp_", 30}, {"squ_", 30}, {"sqp_", 30},
	// clouds
	{"AKIA", 16}, {"ASIA", 16}, {"ABIA", 16}, {"ACCA", 16}, {"AIza", 30}, {"ya29.", 20}, {"GOCSPX-", 20}, {"LTAI", 17},
	{"dop_v1_", 40}, {"doo_v1_", 40}, {"dor_v1_", 40}, {"dapi", 32}, {"hvs.", 24}, {"hvb.", 100}, {"fo1_", 40}, {"fm2_", 40},
	{"pul-", 40}, {"tfp_", 40}, {"HRKU-", 30}, {"sha256~", 40}, {"pscale_tkn_", 30}, {"pscale_pw_", 30}, {"dt0c01.", 60},
	{"v1.0-", 100}, {"dp.pt.", 40}, {"nvapi-", 40},
	// messages and the rest
	{"xoxb-", 20}, {"xoxp-", 20}, {"xoxa-", 20}, {"xoxe.", 20}, {"xoxr-", 20}, {"xoxs-", 20}, {"xapp-", 20}, {"SG.", 40},
	{"xkeysib-", 60}, {"key-", 32}, {"NRAK-", 27}, {"NRJS-", 19}, {"shpat_", 32}, {"shpca_", 32}, {"shppa_", 32}, {"shpss_", 32},
	{"PMAK-", 50}, {"lin_api_", 40}, {"ntn_", 40}, {"figd_", 30}, {"glc_", 30}, {"glsa_", 30}, {"eyJ", 40}, {"AGE-SECRET-KEY-", 40},
	{"rdme_", 40}, {"duffel_", 40}, {"EZAK", 50}, {"pnu_", 30}, {"fio-u-", 60}, {"AKCp", 60}, {"sl.", 120},
}

// secretStarts holds the prefixes by their first character.
var secretStarts = sync.OnceValue(func() *[128][]secretPrefix {
	t := new([128][]secretPrefix)
	for _, p := range secretPrefixes {
		t[p.prefix[0]] = append(t[p.prefix[0]], p)
	}
	return t
})
