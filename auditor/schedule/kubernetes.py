"""CronJobs for Kubernetes, read-only and without rights. With shards: an Indexed one that collects, and one that judges."""

from __future__ import annotations

import json
from collections.abc import Sequence

from auditor.schedule import REPORTED, Plan
from auditor.schedule.cron import fields
from auditor.schedule.every import Slots

CONFIG = "/etc/auditor/auditor.yaml"
_STATE = "/var/lib/auditor"
_EVIDENCE = f"{_STATE}/evidence"
_DONE = f'code=$?; case "$code" in {"|".join(map(str, REPORTED))}) exit 0;; *) exit "$code";; esac'
_AUDIT = f'auditor "$@"; {_DONE}'
_COLLECT = (
    'auditor "$@" --shard "$((JOB_COMPLETION_INDEX + 1))/$SHARDS" '
    f'-o "{_EVIDENCE}/part-$JOB_COMPLETION_INDEX.jsonl"; {_DONE}'
)
_EVALUATE = f'auditor evaluate {_EVIDENCE}/part-*.jsonl "$@"; {_DONE}'
_HEAD = """# Needs, in the same namespace:
#   kubectl create configmap auditor-config --from-file=auditor.yaml --from-file=waivers.yaml --from-file=attest/
#     (a config map has no folders: name answers in auditor.yaml as `attestations: main-okx.yaml`)
#   kubectl create secret generic auditor-credentials --from-literal=NAME=value ...
# and an image that holds the program. What is remembered between runs lies on the claim auditor-state.
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: auditor-state
spec:
  accessModes: [{access}]
  resources:
    requests:
      storage: 1Gi
"""
_JOB = """---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: auditor
spec:
  schedule: {when}
  timeZone: Etc/UTC
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 600
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: {retries}
      activeDeadlineSeconds: {deadline}
{indexed}      template:
        metadata:
          labels:
            app.kubernetes.io/name: auditor
        spec:
          restartPolicy: Never
          automountServiceAccountToken: false
          enableServiceLinks: false
          securityContext:
            runAsNonRoot: true
            runAsUser: 10001
            runAsGroup: 10001
            fsGroup: 10001
            seccompProfile:
              type: RuntimeDefault
          containers:
            - name: auditor
              image: {image}
              command: [/bin/sh, -c, {script}, auditor]
              args: {args}
              env:
                - {{name: HOME, value: /tmp}}
                - {{name: XDG_CONFIG_HOME, value: {state}/config}}
                - {{name: XDG_DATA_HOME, value: {state}/data}}
                - {{name: XDG_STATE_HOME, value: {state}/state}}
{env}              securityContext:
                allowPrivilegeEscalation: false
                readOnlyRootFilesystem: true
                capabilities:
                  drop: [ALL]
              resources:
                requests: {{cpu: 100m, memory: 256Mi}}
                limits: {{memory: 1Gi}}
              volumeMounts:
                - {{name: config, mountPath: /etc/auditor, readOnly: true}}
                - {{name: state, mountPath: {state}}}
                - {{name: tmp, mountPath: /tmp}}
          volumes:
            - name: config
              configMap: {{name: auditor-config}}
            - name: state
              persistentVolumeClaim: {{claimName: auditor-state}}
            - name: tmp
              emptyDir: {{}}
"""
_INDEXED = "      completionMode: Indexed\n      completions: {count}\n      parallelism: {count}\n"


def render(plan: Plan) -> dict[str, str]:
    """auditor-cronjob.yaml."""
    many = plan.shards > 1
    text = _HEAD.format(access="ReadWriteMany" if many else "ReadWriteOnce")
    if many:
        collect = ("collect", "--quiet", "-c", CONFIG)
        judge = ("-c", CONFIG, "--quiet", "--notify", *plan.options)
        shards = [f"                - {{name: SHARDS, value: {_text(str(plan.shards))}}}\n"]
        text += _job(plan, "auditor-collect", _COLLECT, collect, fields(plan.slots), indexed=shards)
        text += _job(plan, "auditor-evaluate", _EVALUATE, judge, fields(_afterwards(plan.slots)))
    else:
        text += _job(plan, "auditor", _AUDIT, plan.audit(CONFIG), fields(plan.slots))
    return {"auditor-cronjob.yaml": text}


def _job(plan: Plan, name: str, script: str, args: Sequence[str], when: str, *, indexed: Sequence[str] = ()) -> str:
    secrets = [
        f"                - name: {variable}\n                  valueFrom:\n"
        f"                    secretKeyRef: {{name: auditor-credentials, key: {variable}}}\n"
        for variable in plan.variables
    ]
    return _JOB.format(
        name=name,
        when=_text(when),
        retries=plan.shards if indexed else 1,
        deadline=max(3600, int(plan.slots.every.total_seconds())),
        indexed=_INDEXED.format(count=plan.shards) if indexed else "",
        image=_text(plan.image),
        script=_word(script),
        args=f"[{', '.join(map(_word, args))}]",
        state=_STATE,
        env="".join([*indexed, *secrets]),
    )


def _afterwards(slots: Slots) -> Slots:
    """Half an hour later, or at half of a shorter time: when the collectors are done, or else with what they left before."""
    later = min(30, int(slots.every.total_seconds()) // 120)
    moved = [minute + later for minute in slots.minutes]
    minutes = tuple(sorted(minute % 60 for minute in moved))
    hour = 1 if len(slots.minutes) == 1 and moved[0] >= 60 else 0  # noqa: PLR2004  (minutes of an hour)
    hours = tuple(sorted((one + hour) % 24 for one in slots.hours))
    weekday = slots.weekday and (slots.weekday + (1 if hour and slots.hours == (23,) else 0) - 1) % 7 + 1
    return Slots(every=slots.every, minutes=minutes, hours=hours, weekday=weekday)


def _word(text: str) -> str:
    """A word of a command: Kubernetes replaces `$(NAME)` in it, and takes two dollars for one."""
    return _text(text.replace("$", "$$"))


def _text(text: str) -> str:
    """JSON's strings are YAML's."""
    return json.dumps(text)
