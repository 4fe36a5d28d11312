"""The layouts James is run with: as shipped, as recommended, as the mission had it, everything, JSON."""

_DATE = "yyyy-MM-dd'T'HH:mm:ss.SSSXXX"

PATTERNS = {
    # sample-configuration/logback.xml of James 3.9
    "default": "%d{HH:mm:ss.SSS} %highlight([%-5level]) %logger{15} - %msg%n%rEx",
    # deploy/james/: fixed positions first, line breaks escaped
    "fixed": '%d{"' + _DATE + '",UTC} [%-5level] [proto=%X{protocol:-} ip=%X{ip:-} src=%X{proxy.source:-} '
    "rip=%X{remoteIP:-} sid=%X{sessionId:-} auth=%X{authType:-}] %logger{0} - "
    "%replace(%replace(%msg %ex{1}){'\\s+$',''}){'[\\r\\n]+','\\\\n'}%n%nopex",
    "mdc": '%d{"' + _DATE + '"} %-5level %logger - %msg | MDC{%X}%n%rEx',
    # the mission's log4j2 layout
    "seed": "%d{yyyy-MM-dd HH:mm:ss.SSS Z} - %C [ip=%X{ip}] - %msg%n%nopex",
}
NAMES = [*PATTERNS, "json"]

_JSON_39 = (
    '<encoder class="ch.qos.logback.classic.encoder.JsonEncoder"><withFormattedMessage>true</withFormattedMessage></encoder>'
)
_JSON_38 = """<encoder class="ch.qos.logback.core.encoder.LayoutWrappingEncoder">
  <layout class="ch.qos.logback.contrib.json.classic.JsonLayout">
    <timestampFormat>yyyy-MM-dd'T'HH:mm:ss.SSSX</timestampFormat><timestampFormatTimezoneId>Etc/UTC</timestampFormatTimezoneId>
    <appendLineSeparator>true</appendLineSeparator>
    <jsonFormatter class="ch.qos.logback.contrib.jackson.JacksonJsonFormatter"><prettyPrint>false</prettyPrint></jsonFormatter>
  </layout></encoder>"""


def encoder(layout, contrib):
    """The `<encoder>` of a layout; `contrib`: the server has logback-contrib's JSON and no JsonEncoder (3.8)."""
    if layout == "json":
        return _JSON_38 if contrib else _JSON_39
    return f"<encoder><pattern>{PATTERNS[layout]}</pattern></encoder>"


def logback(directory, contrib, layouts=NAMES, asynchronous=False):
    """A logback.xml that writes each layout to `directory/LAYOUT.log` from the same run."""
    out = ["<configuration>"]
    for name in layouts:
        out.append(
            f'<appender name="{name}" class="ch.qos.logback.core.FileAppender"><file>{directory}/{name}.log</file>'
            f"{encoder(name, contrib)}</appender>"
        )
    targets = list(layouts)
    if asynchronous:  # as shipped since 3.9.0
        refs = "".join(f'<appender-ref ref="{name}"/>' for name in targets)
        out.append(f'<appender name="ASYNC" class="ch.qos.logback.classic.AsyncAppender">{refs}</appender>')
        targets = ["ASYNC"]
    refs = "".join(f'<appender-ref ref="{name}"/>' for name in targets)
    out.append(f'<root level="WARN">{refs}</root><logger name="org.apache.james" level="INFO"/></configuration>')
    return "\n".join(out)
