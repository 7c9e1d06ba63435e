# Of a molecule run, each line after the second it was written in: how long each step took, and what each host's recap says changed.

/ > [a-z_]+\] Executing$/ {
    step = $0
    sub(/\] Executing$/, "", step)
    sub(/.* > /, "", step)
    began = $1
    recaps = ""
}
/ : ok=[0-9]+ +changed=/ {
    match($0, /changed=[0-9]+/)
    recaps = recaps ", " $2 " " substr($0, RSTART, RLENGTH)
}
step && index($0, " > " step "] ") && / Executed: / {
    printf "  %-12s %5d s%s\n", step, $1 - began, recaps
    step = ""
}
