package upgrade

// ReportWait lets tests wait less.
var ReportWait = &reportWait
