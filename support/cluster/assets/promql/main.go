// Evaluates PromQL with Prometheus' own engine on pages that were scraped.
//
// It reads one JSON document from standard input and writes one to standard output. A timeline is a list of scrapes in
// the order of their times; a scrape without a page is one that failed, as of a target that is gone. Each query is
// evaluated at every step between its start and its end.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"os"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

type input struct {
	// The content type of all pages.
	ContentType string `json:"contentType"`
	// Labels that Prometheus gives to the target.
	Target    map[string]string   `json:"target"`
	Pages     []string            `json:"pages"`
	Timelines map[string][]scrape `json:"timelines"`
	// A file of alerting rules, to be checked as Prometheus does when it reads it.
	Rules   string  `json:"rules"`
	Queries []query `json:"queries"`
}

// A scrape at so many seconds; Page is an index into the pages.
type scrape struct {
	At   int64 `json:"at"`
	Page *int  `json:"page"`
}

type query struct {
	Timeline string `json:"timeline"`
	Expr     string `json:"expr"`
	Start    int64  `json:"start"`
	End      int64  `json:"end"`
	Step     int64  `json:"step"`
}

type output struct {
	RuleErrors []string `json:"ruleErrors"`
	Results    []result `json:"results"`
}

type result struct {
	// The selectors of the expression, and the labels that it groups or matches by.
	Selectors []selector `json:"selectors"`
	Grouping  []string   `json:"grouping"`
	Error     string     `json:"error,omitempty"`
	Notes     []string   `json:"notes,omitempty"`
	Series    []series   `json:"series"`
}

type selector struct {
	Name     string    `json:"name"`
	Matchers []matcher `json:"matchers"`
}

type matcher struct {
	Label string `json:"label"`
	// One of = != =~ !~
	Operator string `json:"operator"`
	Value    string `json:"value"`
}

type series struct {
	Labels map[string]string `json:"labels"`
	// Seconds, and the value as Prometheus writes it.
	Points [][2]string `json:"points"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return err
	}
	pages := make([][]sample, len(in.Pages))
	for i, page := range in.Pages {
		samples, err := parse(page, in.ContentType, in.Target)
		if err != nil {
			return fmt.Errorf("page %d: %w", i, err)
		}
		pages[i] = samples
	}
	timelines := map[string]memory{}
	for name, scrapes := range in.Timelines {
		timelines[name] = lay(scrapes, pages, in.Target)
	}
	syntax := parser.NewParser(parser.Options{})
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 50_000_000, Timeout: time.Minute, Parser: syntax})
	out := output{RuleErrors: []string{}, Results: []result{}}
	if in.Rules != "" {
		_, problems := rulefmt.Parse([]byte(in.Rules), false, model.UTF8Validation, syntax, slog.New(slog.DiscardHandler))
		for _, problem := range problems {
			out.RuleErrors = append(out.RuleErrors, problem.Error())
		}
	}
	for _, asked := range in.Queries {
		answer := evaluate(engine, timelines[asked.Timeline], asked)
		if expr, err := syntax.ParseExpr(asked.Expr); err == nil {
			answer.Selectors, answer.Grouping = inspect(expr)
		}
		out.Results = append(out.Results, answer)
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

func evaluate(engine *promql.Engine, on memory, asked query) result {
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	step := time.Duration(asked.Step) * time.Second
	query, err := engine.NewRangeQuery(context.Background(), on, nil, asked.Expr, at(asked.Start), at(asked.End), step)
	if err != nil {
		return result{Error: err.Error()}
	}
	defer query.Close()
	answer := query.Exec(context.Background())
	if answer.Err != nil {
		return result{Error: answer.Err.Error()}
	}
	matrix, err := answer.Matrix()
	if err != nil {
		return result{Error: err.Error()}
	}
	found := result{Series: []series{}}
	for _, note := range answer.Warnings.AsErrors() {
		found.Notes = append(found.Notes, note.Error())
	}
	for _, line := range matrix {
		one := series{Labels: line.Metric.Map()}
		for _, point := range line.Floats {
			one.Points = append(one.Points, [2]string{fmt.Sprint(point.T / 1000), fmt.Sprint(point.F)})
		}
		found.Series = append(found.Series, one)
	}
	return found
}

// Says what an expression is about.
func inspect(expr parser.Expr) ([]selector, []string) {
	selectors, grouping := []selector{}, []string{}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			one := selector{Name: node.Name, Matchers: []matcher{}}
			for _, of := range node.LabelMatchers {
				if of.Name != "__name__" {
					one.Matchers = append(one.Matchers, matcher{of.Name, of.Type.String(), of.Value})
				}
			}
			selectors = append(selectors, one)
		case *parser.AggregateExpr:
			grouping = append(grouping, node.Grouping...)
		case *parser.BinaryExpr:
			if node.VectorMatching != nil {
				grouping = append(grouping, node.VectorMatching.MatchingLabels...)
			}
		}
		return nil
	})
	return selectors, grouping
}

// A sample of a page.
type sample struct {
	labels labels.Labels
	value  float64
}

// Reads a page as Prometheus does when it scrapes it.
func parse(page, contentType string, target map[string]string) ([]sample, error) {
	reader, err := textparse.New([]byte(page), contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return nil, err
	}
	samples := []sample{}
	seen := map[string]bool{}
	for {
		entry, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return samples, nil
		}
		if err != nil {
			return nil, err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, _, number := reader.Series()
		var own labels.Labels
		reader.Labels(&own)
		if seen[own.String()] {
			return nil, fmt.Errorf("%s is there twice", own)
		}
		seen[own.String()] = true
		samples = append(samples, sample{with(own, target), number})
	}
}

func with(own labels.Labels, target map[string]string) labels.Labels {
	builder := labels.NewBuilder(own)
	for name, of := range target {
		builder.Set(name, of)
	}
	return builder.Labels()
}

// Puts scrapes one after the other, with what Prometheus adds: whether the target is up, and an end to each series that
// is not there any more.
func lay(scrapes []scrape, pages [][]sample, target map[string]string) memory {
	all := map[string]*line{}
	add := func(of labels.Labels, at int64, number float64) {
		key := of.String()
		if all[key] == nil {
			all[key] = &line{labels: of}
		}
		all[key].points = append(all[key].points, point{at * 1000, number})
	}
	up := with(labels.FromStrings("__name__", "up"), target)
	before := map[string]labels.Labels{}
	for _, scrape := range scrapes {
		now := map[string]labels.Labels{}
		if scrape.Page == nil {
			add(up, scrape.At, 0)
		} else {
			add(up, scrape.At, 1)
			for _, sample := range pages[*scrape.Page] {
				now[sample.labels.String()] = sample.labels
				add(sample.labels, scrape.At, sample.value)
			}
		}
		for key, of := range before {
			if _, isThere := now[key]; !isThere {
				add(of, scrape.At, math.Float64frombits(value.StaleNaN))
			}
		}
		before = now
	}
	lines := memory{}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		lines = append(lines, *all[key])
	}
	slices.SortFunc(lines, func(a, b line) int { return labels.Compare(a.labels, b.labels) })
	return lines
}

// What Prometheus would have stored.
type memory []line

type line struct {
	labels labels.Labels
	points []chunks.Sample
}

func (m memory) Querier(from, to int64) (storage.Querier, error) {
	return reader{m, from, to}, nil
}

type reader struct {
	memory   memory
	from, to int64
}

func (r reader) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	found := &set{}
	for _, line := range r.memory {
		fits := func(matcher *labels.Matcher) bool { return matcher.Matches(line.labels.Get(matcher.Name)) }
		if !slices.ContainsFunc(matchers, func(matcher *labels.Matcher) bool { return !fits(matcher) }) {
			points := slices.DeleteFunc(slices.Clone(line.points), func(point chunks.Sample) bool {
				return point.T() < r.from || point.T() > r.to
			})
			found.series = append(found.series, storage.NewListSeries(line.labels, points))
		}
	}
	return found
}

func (reader) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (reader) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (reader) Close() error { return nil }

type set struct {
	series []storage.Series
	next   int
}

func (s *set) Next() bool                      { s.next++; return s.next <= len(s.series) }
func (s *set) At() storage.Series              { return s.series[s.next-1] }
func (*set) Err() error                        { return nil }
func (*set) Warnings() annotations.Annotations { return nil }

type point struct {
	at     int64
	number float64
}

func (p point) T() int64                    { return p.at }
func (point) ST() int64                     { return 0 }
func (p point) F() float64                  { return p.number }
func (point) H() *histogram.Histogram       { return nil }
func (point) FH() *histogram.FloatHistogram { return nil }
func (point) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (p point) Copy() chunks.Sample         { return p }
