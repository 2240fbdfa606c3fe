-- Which rules matched of late: LintRules reads the evaluations of some days.
create index if not exists evaluations_time on evaluations (time);
