# Points (see tests/bench/plot) to gnuplot commands. A picture with one panel is large; several become a grid of small ones, all
# drawn alike. Series are labelled where they end, the labels pushed apart; colours are Okabe and Ito's, which colour-blind
# people can tell apart, and the baseline is dashed and grey.

BEGIN {
	FS = "\t"
	colour["ours"] = "#0072B2"; colour["ours2"] = "#D55E00"; colour["ours3"] = "#009E73"; colour["baseline"] = "#555555"
	shape["ours"] = 7; shape["ours2"] = 9; shape["ours3"] = 5; shape["baseline"] = 6
	unit_name["time"] = "time"; unit_name["rate"] = "events per second"; unit_name["bytes"] = "bytes"; unit_name["bytes/s"] = "bytes per second"
	split("n µ m - k M G T", prefix, " ")
	size_tics = "('1' 1, '10' 10, '100' 100, '1 k' 1e3, '10 k' 1e4, '100 k' 1e5, '1 M' 1e6, '10 M' 1e7)"
	axis_tics["events"] = size_tics; axis_name["events"] = "events of the actor"
	axis_tics["actors"] = size_tics; axis_name["actors"] = "actors in the namespace"
	axis_tics["writers"] = "(1, 4, 16, 64)"; axis_name["writers"] = "writers"
	axis_tics["share"] = "('0' 1, '50 %%' 2, '90 %%' 10, '99 %%' 100, '99.9 %%' 1000)"; axis_name["share"] = "share of the appends"
}

# A number with its prefix, as gnuplot writes it, but µ.
function text(v, unit,   i) {
	i = int(log10(v) / 3 + 100 + 1e-9) - 100
	return sprintf("%g %s%s", v / 1000 ^ i, i == 0 ? "" : prefix[i + 4], unit == "time" ? "s" : unit == "bytes" ? "B" : unit == "bytes/s" ? "B/s" : unit == "rate" ? "/s" : "")
}

function log10(v) { return log(v) / log(10) }

{
	picture = $1; panel = $1 FS $2; series = panel FS $5
	if (!(picture in panels)) { panels[picture] = 0; pictures[++picture_count] = picture }
	if (!(panel in series_of)) {
		series_of[panel] = 0; panel_at[picture, ++panels[picture]] = panel
		title[panel] = $2; axis[panel] = $3; unit[panel] = $4
	}
	if (!(series in points)) { points[series] = 0; series_at[panel, ++series_of[panel]] = series; name[series] = $5; style[series] = $6 }
	# A share becomes "one in so many is slower": its axis stretches the slow ones.
	x = $3 == "share" ? 1 / (1 - $7) : $7
	n = ++points[series]; px[series, n] = x; py[series, n] = $8
	if (!(panel in ymax) || $8 > ymax[panel]) ymax[panel] = $8
	if (!(panel in ymin) || $8 < ymin[panel]) ymin[panel] = $8
	if (!(panel in xmax) || x > xmax[panel]) xmax[panel] = x
	if (!(panel in xmin) || x < xmin[panel]) xmin[panel] = x
}

# Where the labels stand: at their series' end, but never closer to each other than a line of text.
function labels(panel, low, high, gap,   i, j, k, n, tmp, order, y) {
	n = series_of[panel]
	for (i = 1; i <= n; i++) { order[i] = series_at[panel, i]; y[order[i]] = log10(py[order[i], points[order[i]]]) }
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && y[order[j]] < y[order[j - 1]]; j--) { tmp = order[j]; order[j] = order[j - 1]; order[j - 1] = tmp }
	for (k = 0; k < 20; k++)
		for (i = 2; i <= n; i++)
			if (y[order[i]] - y[order[i - 1]] < gap) {
				tmp = (gap - (y[order[i]] - y[order[i - 1]])) / 2
				y[order[i]] += tmp; y[order[i - 1]] -= tmp
			}
	for (i = 1; i <= n; i++) {
		tmp = y[order[i]]; if (tmp < low + gap / 2) tmp = low + gap / 2
		printf "set label '%s' at first %g, first %g left offset 0.9,0 tc rgb '%s' noenhanced\n", name[order[i]], xmax[panel], 10 ^ tmp, colour[style[order[i]]]
	}
}

function draw(panel, small,   low, high, middle, least, i, j, s, sep) {
	# At least so many decades high, that noise does not look like growth.
	least = small ? 2 : 1
	low = log10(ymin[panel]) - 0.15; high = log10(ymax[panel]) + 0.15; middle = (low + high) / 2
	if (high - low < least) { low = middle - least / 2; high = middle + least / 2 }
	print "unset label; set title '" title[panel] "' noenhanced"
	if (!small) print "set label 99 '" where "' at screen 0.99, screen 0.02 right tc rgb '#888888' font ',11' noenhanced"
	print "set xtics " axis_tics[axis[panel]] "; set xlabel '" axis_name[axis[panel]] "'; set ylabel '" (small ? "" : unit_name[unit[panel]]) "'"
	printf "set xrange [%g:%g]; set yrange [%g:%g]\n", xmin[panel] * 0.99, xmax[panel] * 1.01, 10 ^ low, 10 ^ high
	print "set ytics (" marks(low, high, unit[panel], small ? 1.7 : 2.6) ")"
	labels(panel, low, high, (high - low) * (small ? 0.075 : 0.05))
	sep = "plot "
	for (i = 1; i <= series_of[panel]; i++) {
		s = series_at[panel, i]
		printf "%s'-' using 1:2 with %s lw 2 lc rgb '%s'%s%s", sep, axis[panel] == "share" ? "lines" : "linespoints", colour[style[s]],
			style[s] == "baseline" ? " dt (8,5)" : "", axis[panel] == "share" ? "" : " pt " shape[style[s]] " ps 0.6"
		sep = ", "
	}
	print ""
	for (i = 1; i <= series_of[panel]; i++) {
		s = series_at[panel, i]
		for (j = 1; j <= points[s]; j++) print px[s, j], py[s, j]
		print "e"
	}
}

# Marks at powers of ten; at 2 and 5 as well on an axis of less than `most` decades.
function marks(low, high, unit, most,   d, m, v, list) {
	for (d = int(low) - 1; d <= high; d++)
		for (m = 1; m <= 5; m += m) {
			if (m == 4) m = 5
			v = m * 10 ^ d
			if (log10(v) > low && log10(v) < high && (m == 1 || high - low < most))
				list = list (list == "" ? "" : ", ") sprintf("'%s' %g", text(v, unit), v)
		}
	return list
}

END {
	for (i = 1; i <= picture_count; i++) {
		picture = pictures[i]; n = panels[picture]; small = n > 1
		columns = n < 4 ? n : 4; rows = int((n + columns - 1) / columns)
		printf "reset; set terminal svg size %d,%d font 'sans-serif,%d' background '#ffffff' dynamic\n", small ? 330 * columns : 760, small ? 270 * rows + 40 : 460, small ? 12 : 14
		print "set encoding utf8; set output '" out "/" picture ".svg'"
		print "unset key; set logscale xy; set border 3 lc rgb '#888888'; set tics nomirror out tc rgb '#222222'; unset mxtics; unset mytics"
		print "set grid ytics lc rgb '#dddddd' lt 1; set rmargin " (small ? 12 : 16) "; set lmargin " (small ? 10 : 12) (small ? "" : "; set bmargin 5.5")
		if (small)
			printf "set multiplot layout %d,%d title '%s' noenhanced offset 0,-0.2\n", rows, columns, where
		for (j = 1; j <= n; j++) draw(panel_at[picture, j], small)
		if (small) print "unset multiplot"
		print "unset output"
	}
}
