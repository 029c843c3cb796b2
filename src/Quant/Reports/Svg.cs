using System.Globalization;
using System.Net;
using System.Text;

namespace Nibble.Quant.Reports;

/// <summary>Writes SVG elements. All text is escaped here and nowhere else.</summary>
sealed class Svg(double width, double height, string title)
{
    readonly StringBuilder body = new();

    public double Width => width;

    public double Height => height;

    public static string Number(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);

    public static string Escape(string text) => WebUtility.HtmlEncode(text);

    /// <param name="style">A class of the page's style sheet.</param>
    /// <param name="tip">Shown when the pointer rests on it.</param>
    public void Rectangle(double x, double y, double w, double h, string style, string? tip = null) => body.Append(
        $"<rect x=\"{Number(x)}\" y=\"{Number(y)}\" width=\"{Number(Math.Max(0, w))}\" height=\"{Number(Math.Max(0, h))}\" class=\"{style}\">{Tip(tip)}</rect>");

    public void Circle(double x, double y, double radius, string style, string? tip = null) => body.Append(
        $"<circle cx=\"{Number(x)}\" cy=\"{Number(y)}\" r=\"{Number(radius)}\" class=\"{style}\">{Tip(tip)}</circle>");

    public void Line(double x1, double y1, double x2, double y2, string style) => body.Append(
        $"<line x1=\"{Number(x1)}\" y1=\"{Number(y1)}\" x2=\"{Number(x2)}\" y2=\"{Number(y2)}\" class=\"{style}\"/>");

    /// <param name="anchor"><c>start</c>, <c>middle</c> or <c>end</c>.</param>
    public void Text(double x, double y, string text, string anchor = "start", string style = "label") => body.Append(
        $"<text x=\"{Number(x)}\" y=\"{Number(y)}\" text-anchor=\"{anchor}\" class=\"{style}\">{Escape(text)}</text>");

    public override string ToString() =>
        $"<svg viewBox=\"0 0 {Number(width)} {Number(height)}\" role=\"img\" aria-label=\"{Escape(title)}\" xmlns=\"http://www.w3.org/2000/svg\">{body}</svg>";

    static string Tip(string? tip) => tip is null ? "" : $"<title>{Escape(tip)}</title>";
}
