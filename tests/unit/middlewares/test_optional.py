from __future__ import annotations

import subprocess
import sys

import pytest

from walnats import middlewares

PACKAGES = {'aiozipkin', 'datadog', 'opentelemetry', 'prometheus_client', 'sentry_sdk'}


def run(code: str) -> str:
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_exports() -> None:
    assert set(middlewares.__all__) == {
        'CurrentContextMiddleware',
        'ErrorThresholdMiddleware',
        'ExtraLogMiddleware',
        'FrequencyMiddleware',
        'Middleware',
        'OpenTelemetryTraceMiddleware',
        'PrometheusMiddleware',
        'SentryMiddleware',
        'StatsdMiddleware',
        'TextLogMiddleware',
        'ZipkinMiddleware',
    }
    for name in middlewares.__all__:
        assert issubclass(getattr(middlewares, name), middlewares.Middleware)


def test_importing_them_imports_no_optional_package() -> None:
    code = f'import sys, walnats.middlewares; print(sorted({PACKAGES!r} & set(sys.modules)))'
    assert run(code) == '[]'


@pytest.mark.parametrize(
    ('call', 'package', 'extra'),
    [
        ('OpenTelemetryTraceMiddleware(None)', 'opentelemetry-api', 'opentelemetry'),
        ('PrometheusMiddleware()', 'prometheus-client', 'prometheus'),
        ('SentryMiddleware()', 'sentry-sdk', 'sentry'),
        ('ZipkinMiddleware(None)', 'aiozipkin', 'zipkin'),
    ],
)
def test_a_missing_package_is_named_with_its_extra(call: str, package: str, extra: str) -> None:
    # The child process sees none of the optional packages, as in a plain installation.
    code = (
        'import sys\n'
        'class Absent:\n'
        '    def find_spec(self, name, path=None, target=None):\n'
        f"        if name.split('.')[0] in {PACKAGES!r}:\n"
        '            raise ModuleNotFoundError(name)\n'
        'sys.meta_path.insert(0, Absent())\n'
        'from walnats.middlewares import *\n'
        f'try:\n    {call}\n'
        'except ImportError as exc:\n    print(exc)\n'
    )
    name = call.split('(', maxsplit=1)[0]
    assert run(code) == f"{name} needs the package '{package}': pip install 'walnats[{extra}]'"
