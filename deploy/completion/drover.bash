# bash completion for drover. Names of hosts, VMs and runs come from the scheduler; when it does not
# answer there are none.

_drover_names() # hosts|vms|runs
{
    local name
    while IFS= read -r name; do
        COMPREPLY+=("$name")
    done < <(compgen -W "$(drover "$1" -o name -q </dev/null 2>/dev/null)" -- "$cur"
             compgen -W "$(drover "$1" -o name -q </dev/null 2>/dev/null | sed 's,^[a-z]*/,,')" -- "$cur")
}

_drover_words()
{
    local word
    while IFS= read -r word; do
        COMPREPLY+=("$word")
    done < <(compgen -W "$1" -- "$cur")
}

_drover()
{
    local cur prev i cmd='' words_seen=0
    local -r commands='drain plan balance apply resume cordon label cancel attach explain check hosts vms top runs journal health policy snapshot pki version help'
    local -r global='--socket --url --cert --key --ca --output --columns --sort --no-headers --progress --quiet
        --verbose --no-color --no-input --help'
    local -r follow='--detach --timeout'
    local -r drain="--dry-run --reason --to --avoid --parallel --deadline --on-blocked --allow-shutdown --confirm
        --make-room
        --yes --detailed-exitcode --snapshot --policy --picture --why-not $follow"
    COMPREPLY=()
    cur=${COMP_WORDS[COMP_CWORD]}
    prev=${COMP_WORDS[COMP_CWORD - 1]}
    if [[ $prev == '=' ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    elif [[ $cur == '=' ]]; then
        cur=''
    fi
    case $prev in
    --to | --avoid | --confirm | --host) _drover_names hosts; return ;; # --confirm: of several, with commas
    --allow-shutdown | --vm) _drover_names vms; return ;;
    --on-blocked) _drover_words 'refuse leave cold shutdown'; return ;;
    --parallel) _drover_words 'auto 1 2 4 8'; return ;;
    --mode) _drover_words 'repair-rules relieve balance make-room consolidate'; return ;;
    -o | --output) _drover_words 'table wide json yaml name jsonl'; return ;;
    --progress) _drover_words 'auto tty plain jsonl none'; return ;;
    -f | --format) _drover_words 'text parsable github json junit'; return ;;
    --from) _drover_words 'ganeti csv table'; return ;;
    --policy | --dir) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    --socket | --snapshot | --picture | --hosts | --flavors | --cert | --key | --ca) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --max-moves | --memory | --vcpus | --timeout | --deadline | --link | --url | --columns | --sort | -m | --reason | -r | --run | --request | --name | --after | --limit) return ;;
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -*) ;;
        *) if [[ -z $cmd && " $commands evacuate maintenance uncordon run " == *" ${COMP_WORDS[i]} "* ]]; then
               cmd=${COMP_WORDS[i]}
           elif [[ -n $cmd ]]; then
               words_seen=$((words_seen + 1))
           fi ;;
        esac
    done
    if [[ $cur == -* ]]; then
        case $cmd in
        drain | plan) _drover_words "$drain $global" ;;
        balance) _drover_words "--dry-run --reason --mode --memory --vcpus --vm --to --avoid --max-moves --parallel --forget-failures --detailed-exitcode $follow $global" ;;
        resume) _drover_words "--bring-home --reason $follow $global" ;;
        cancel) _drover_words "--reason $follow $global" ;;
        apply) _drover_words "$follow $global" ;;
        attach) _drover_words "--timeout $global" ;;
        cordon | label) _drover_words "--reason $global" ;;
        runs | run) _drover_words "--ceph --journal --why $global" ;;
        vms) _drover_words "--host $global" ;;
        top) _drover_words "--once --interval $global" ;;
        journal) _drover_words "--after --limit $global" ;;
        explain) _drover_words "--snapshot --policy $global" ;;
        policy) _drover_words "--format --snapshot --live --strict --run --fail-only --dir --detailed-exitcode --check --reason --until --for $global" ;;
        snapshot) _drover_words "--snapshot --request --name --policy --from --hosts --flavors --link --assume-rbd $global" ;;
        '') _drover_words "$global --version" ;;
        *) _drover_words "$global" ;;
        esac
        return
    fi
    case $cmd in
    '' | help) _drover_words "$commands" ;;
    plan) if ((words_seen)); then _drover_names hosts; else _drover_words 'drain failover balance relieve repair consolidate make-room fit'; fi ;;
    drain | resume | cordon | hosts) _drover_names hosts ;;
    check) _drover_names hosts; ((words_seen)) || _drover_words pair ;;
    apply | cancel | attach | runs | run) _drover_names runs ;;
    label) ((words_seen)) || _drover_names vms ;;
    explain | vms) _drover_names vms ;;
    policy) if ((words_seen)); then mapfile -t COMPREPLY < <(compgen -d -- "$cur"); else _drover_words 'show check test diff fmt suspend resume schema'; fi ;;
    snapshot) if ((words_seen)); then mapfile -t COMPREPLY < <(compgen -f -- "$cur"); else _drover_words 'import check save'; fi ;;
    pki) ((words_seen)) || _drover_words 'init issue show' ;;
    esac
}
complete -F _drover drover
